"""Has static plans and policies answer further prompts through services, and scores answers."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.live.answers_file import AnswersFile, Scored
from bench.live.asking import Answer, ask
from bench.live.charged import counts_of
from bench.live.ladder_services import prompt_counter
from bench.live.unseen import Question
from tiercel.clients.router import Request, RouterClient
from tiercel.evaluation.scoring import SCORERS
from tiercel.evaluation.step_cost import StepTimes, seconds
from tiercel.routing.policy import Wishes
from tiercel.sessions import Delivery
from tiercel.tokenizer import Tokenizer
from tiercel.types import StopConditions

_WARM_UP_TOKENS = 8


def arms_of(
    names: Sequence[str], policies: Sequence[str], cost_weight: float
) -> dict[str, Request]:
    """Return the static plans, then the policies at a weight; what is held may be overruled."""
    wishes = Wishes(cost_weight=cost_weight)
    static = {name: Request("", plan=name) for name in names}
    chosen = {
        f"{name} at {cost_weight:g}": Request(
            "", policy=name, wishes=wishes, delivery=Delivery.HOLD
        )
        for name in policies
    }
    return {**static, **chosen}


@dataclass(frozen=True)
class Examination:
    """What asks, what is charged, and where answers go."""

    client: RouterClient
    arms: Mapping[str, Request]
    tokenizers: Mapping[str, Tokenizer]
    times: StepTimes
    answers: AnswersFile
    commit: str
    seed: int
    told: Callable[[str], None]

    async def warm_up(self, question: Question) -> None:
        """Have every static plan begin an answer: tiers that never worked have no times to tell."""
        stop = StopConditions(max_new_tokens=_WARM_UP_TOKENS)
        for like in self.arms.values():
            if like.plan:
                await ask(self.client, replace(like, stop=stop), question.prompt)

    async def run(self, questions: Sequence[Question]) -> None:
        """Ask what was not answered yet, question by question; raises TiercelError."""
        for number, question in enumerate(questions):
            self.told(f"prompt {number + 1} of {len(questions)}: {question.set.name}")
            order = list(self.arms)
            random.Random(f"{self.seed} {question.item.id}").shuffle(order)
            for arm in order:
                if (question.set.name, question.item.id, arm) not in self.answers.rows:
                    self.answers.add(await self._answered(question, arm))

    async def _answered(self, question: Question, arm: str) -> Scored:
        stop = StopConditions(max_new_tokens=question.set.max_new_tokens)
        like = replace(self.arms[arm], stop=stop)
        answer = await ask(self.client, like, question.prompt)
        scores = SCORERS[question.set.scorer](answer.text, question.item)
        counts = self._counts(question, answer)
        deciding_s = 0.0 if like.plan else answer.decision.compute_s
        return Scored(
            set_name=question.set.name,
            prompt_id=question.item.id,
            arm=arm,
            quality=next(iter(scores.values())),
            cost_s=seconds(counts, self.times) + deciding_s,
            wall_s=answer.seconds,
            num_tokens=len(answer.token_ids),
            finish=answer.end.reason.value,
            plan_name=answer.end.plan_name,
            first_plan=answer.decision.plan_name,
            counts=counts,
            commit=self.commit,
        )

    def _counts(self, question: Question, answer: Answer) -> dict[str, int]:
        roots = {name: name for name in self.tokenizers}  # each plan is its one tier
        counter = prompt_counter(self.tokenizers, question.prompt.messages)
        return counts_of(answer.end, roots, counter)
