"""Has every arm answer every turn, in an order drawn anew for each, phase after phase."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.live.asking import Answer, ask, work_of
from bench.live.mixture import Prompt
from bench.live.ratios import Phase
from tiercel.clients.router import Request, RouterClient

ADAPTIVE = "adaptive"
Turn = Sequence[Prompt]
"""What one arm is asked all at once."""


@dataclass(frozen=True)
class Sample:
    """One answer of an arm; `plan_version` above 0: it was planned anew on the way."""

    phase: str
    turn: int
    arm: str
    kind: str
    prompt_id: str
    seconds: float
    first_s: float
    num_tokens: int
    plan_name: str  # that was in force at the end
    plan_version: int
    answer: str  # hash of its tokens
    work: dict[str, tuple[int, float]]  # by tier: passes or draft tokens, and their seconds


@dataclass
class Run:
    """Arms by name, the adaptive one first, each as a request that lacks its prompt."""

    client: RouterClient
    arms: Mapping[str, Request]
    seed: int
    told: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)

    async def phase(self, name: str, turns: Sequence[Turn]) -> None:
        """Have every arm answer every turn; raises TiercelError."""
        for number, turn in enumerate(turns):
            self.told(f"{name}: turn {number + 1} of {len(turns)}")
            order = list(self.arms)
            random.Random(f"{self.seed} {name} {number}").shuffle(order)
            for arm in order:
                self.samples += await self._answered(name, number, arm, turn)

    async def warm_up(self, prompts: Sequence[Prompt]) -> None:
        """Have every arm answer every prompt, and forget it."""
        for prompt in prompts:
            for like in self.arms.values():
                await ask(self.client, like, prompt)

    async def _answered(self, phase: str, number: int, arm: str, turn: Turn) -> list[Sample]:
        asked = (ask(self.client, self.arms[arm], prompt) for prompt in turn)
        answers = await asyncio.gather(*asked)
        return [
            _sample(phase, number, arm, prompt, answer)
            for prompt, answer in zip(turn, answers, strict=True)
        ]


def _sample(phase: str, number: int, arm: str, prompt: Prompt, answer: Answer) -> Sample:
    return Sample(
        phase=phase,
        turn=number,
        arm=arm,
        kind=prompt.kind,
        prompt_id=prompt.id,
        seconds=answer.seconds,
        first_s=answer.end.usage.time_to_first_token_s,
        num_tokens=len(answer.token_ids),
        plan_name=answer.end.plan_name,
        plan_version=answer.plan_version,
        answer=answer.digest,
        work=work_of(answer.end.usage),
    )


def waves(prompts: Sequence[Prompt], number: int, size: int) -> list[Turn]:
    """Return so many turns of `size` prompts each, going round."""
    places = range(number * size)
    ring = [prompts[place % len(prompts)] for place in places]
    return [ring[place : place + size] for place in range(0, len(ring), size)]


def timed(samples: Sequence[Sample], arms: Sequence[str]) -> list[Phase]:
    """Return the phases in the order of their samples, their arms in the order given."""
    found = []
    for name in dict.fromkeys(one.phase for one in samples):
        ours = [one for one in samples if one.phase == name]
        seconds = np.zeros((1 + max(one.turn for one in ours), len(arms)))
        for one in ours:
            seconds[one.turn, arms.index(one.arm)] += one.seconds
        counts = [sum(one.turn == turn for one in ours) for turn in range(len(seconds))]
        found.append(Phase(name, seconds, tuple(count // len(arms) for count in counts)))
    return found


def disagreements(samples: Sequence[Sample]) -> int:
    """Return how many prompts were answered differently by two arms; under EXACT none may be."""
    answers: dict[tuple[str, str], set[str]] = {}
    for one in samples:
        answers.setdefault((one.kind, one.prompt_id), set()).add(one.answer)
    return sum(len(different) > 1 for different in answers.values())


def chosen(samples: Sequence[Sample], phase: str) -> dict[str, float]:
    """Return how often each plan was in force at the end of the adaptive arm's answers."""
    ours = [one.plan_name for one in samples if (one.phase, one.arm) == (phase, ADAPTIVE)]
    return {name: ours.count(name) / len(ours) for name in sorted(set(ours))}
