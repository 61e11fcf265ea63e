"""Whether one answer is worse than another to the same prompt: three ways to tell."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from services.router.fleet import Fleet, Replica, least_loaded
from services.router.studies.off_path import Answered
from tiercel.clients import tier as tier_client
from tiercel.errors import InvalidRequest, Unavailable
from tiercel.evaluation.judging.question import Contest, Verdict, first_letter, question
from tiercel.routing.registry import imported
from tiercel.scores import Continuation, ScoreAsk, ScoredContinuation
from tiercel.sessions import DraftPrefix
from tiercel.types import Message, Plan
from tiercel.wire.requests import Prompt, TokenIds

_TIMEOUT_S = 120.0
_LETTERS = ("A", "B")

# Scores an answer to a prompt, both as text, from 0 to 1.
TaskGrader = Callable[[str, str], float]


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt by one root: the one under a lossy rule, and EXACT's."""

    plan: Plan  # with addresses
    prompt: Prompt  # as it was asked
    prompt_ids: TokenIds  # as the root read it
    exact: DraftPrefix
    lossy: DraftPrefix

    @classmethod
    def of(cls, answered: Answered, *, exact: DraftPrefix, lossy: DraftPrefix) -> "Pair":
        """Return two answers to what this one is an answer to."""
        return cls(answered.plan, answered.call.ask.prompt, answered.prompt, exact, lossy)


@dataclass(frozen=True)
class Harm:
    """How much worse the lossy answer is, in the unit of the method, and whether that counts."""

    harmed: bool
    loss: float


class Comparison(Protocol):
    """A way to tell harm. `method` is one that feedback knows."""

    method: str

    async def compare(self, pair: Pair) -> Harm:
        """Return the harm; raises TiercelError where it cannot be told."""
        ...


class ByLikelihood:
    """By the root's own mean log-probability per token at temperature 1, in nats."""

    method = "likelihood"

    def __init__(self, fleet: Fleet, delta: float) -> None:
        """A loss of more than `delta` nats per token is harm."""
        self._fleet, self._delta = fleet, delta

    async def compare(self, pair: Pair) -> Harm:
        """Have the root score both answers in one call."""
        known = self._fleet.find(pair.plan.tier, pair.plan.address)
        replica = known or _any(self._fleet, pair.plan.tier)
        exact, lossy = await _scored(replica, pair.prompt_ids, (pair.exact.ids, pair.lossy.ids))
        loss = exact.mean_logprob - lossy.mean_logprob
        return Harm(loss > self._delta, loss)


class ByJudge:
    """By another tier that is shown both answers, in both orders.

    The loss is from -1 to 1: how much more likely it names EXACT's than the other, on average.
    """

    method = "judge"

    def __init__(self, fleet: Fleet, tier: str) -> None:
        self._fleet, self._tier = fleet, tier

    async def compare(self, pair: Pair) -> Harm:
        """Ask the judge twice; harm is that both times it prefers EXACT's answer."""
        contest = Contest(text_of(pair.prompt), pair.exact.text, pair.lossy.text)
        first = await self._first_letter(question(contest))
        second = 1 - await self._first_letter(question(contest, swapped=True))
        verdict = Verdict(first, second)
        harmed = verdict.is_consistent and verdict.shown_first > 0.5
        return Harm(harmed, 2 * verdict.preference - 1)

    async def _first_letter(self, asked: str) -> float:
        prompt = (Message("user", asked),)
        scored = await _scored(_any(self._fleet, self._tier), prompt, _LETTERS)
        if any(len(one.token_ids) != 1 for one in scored):
            why = "its tokenizer has no token for each letter"
            raise InvalidRequest("audit_judge", self._tier, why)
        return first_letter([one.logprobs[0].logprob for one in scored])


class ByScore:
    """By a task's own grader, in its unit."""

    method = "score"

    def __init__(self, grader: TaskGrader) -> None:
        self._grader = grader

    async def compare(self, pair: Pair) -> Harm:
        """Score both answers; harm is that the score falls."""
        prompt = text_of(pair.prompt)
        exact, lossy = [
            await asyncio.to_thread(self._grader, prompt, one.text)
            for one in (pair.exact, pair.lossy)
        ]
        for score in (exact, lossy):
            if not 0.0 <= score <= 1.0:  # NaN too
                raise InvalidRequest("audit_grader", score, "gave a score that is not in [0, 1]")
        return Harm(lossy < exact, exact - lossy)


def imported_grader(name: str) -> TaskGrader:
    """Return the grader that `module:function` names; raises InvalidRequest if there is none."""
    return cast(TaskGrader, imported("audit_grader", name, "grader"))


def text_of(prompt: Prompt) -> str:
    """Return a prompt as text, of a conversation its last turn; raises InvalidRequest for ids."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, TokenIds):
        raise InvalidRequest("prompt", "ids", "an answer to ids can be compared by likelihood only")
    return prompt[-1].content if prompt else ""


async def _scored(
    replica: Replica, prompt: Prompt, continuations: tuple[Continuation, ...]
) -> tuple[ScoredContinuation, ...]:
    ask = ScoreAsk(prompt, continuations)
    scores = await tier_client.score(replica.channel, ask, timeout_s=_TIMEOUT_S)
    found = scores.continuations
    if len(found) != len(continuations) or not all(one.logprobs for one in found):
        raise InvalidRequest("tier", replica.tier, "gives no log-probabilities")
    return found


def _any(fleet: Fleet, tier: str) -> Replica:
    replica = least_loaded(fleet.ready(tier))
    if replica is None:
        raise Unavailable(f"no replica of tier {tier!r} takes work")
    return replica
