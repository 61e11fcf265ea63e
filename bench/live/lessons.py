"""What running services do: certify strictness, answer while it is led, answer at a fixed one."""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from bench.live.asking import Answer, ask
from bench.live.learning_services import Classroom
from bench.live.mixture import Prompt
from tiercel.clients.router import Request
from tiercel.errors import Unavailable
from tiercel.learning import StrictnessPolicy
from tiercel.plan_text import Outline
from tiercel.types import StopConditions

_SETTLING_S = 0.5
_MOST_LOOKS = 120


@dataclass(frozen=True)
class Step:
    """One answer, and what feedback had told by then."""

    prompt: Prompt
    answer: Answer
    cell: str  # the kind that was told, whose strictness it is; empty: that of all
    known: StrictnessPolicy | None


@dataclass(frozen=True)
class Lessons:
    """Asks prompts one after the other; of kinds that are not told there is one strictness."""

    room: Classroom
    tokens: int
    tells_kinds: bool
    told: Callable[[str], None]

    async def certified(self, prompts: Sequence[Prompt], most: int) -> bytes:
        """Have audits of answers under EXACT try levels until it is known which are certified.

        That of every kind and of all; prompts go round, for at most so many answers. Return the
        certificates; raises Unavailable if no level is certified by then.
        """
        feedback = self.room.feedback
        assert feedback is not None, "these services do not learn"
        cells = ("", *sorted({prompt.kind for prompt in prompts}))
        for number, prompt in enumerate(islice(cycle(prompts), most)):
            await self._answered(prompt, self.room.lesson.learned, kind=prompt.kind)
            known = [await self.room.strictness(cell) for cell in cells]
            if number % 10 == 0:
                self.told(f"certifying, {number + 1} answers: {'; '.join(map(said, known))}")
            if all(one is not None and _has_ended(one) for one in known):
                break
        known = [await self.room.strictness(cell) for cell in cells]
        if not any(one is not None and one.certified for one in known):
            raise Unavailable(f"no strictness was certified: {'; '.join(map(said, known))}")
        return certificates(b"".join([piece async for piece in feedback.export()]))

    async def restored(self, learned: bytes, kinds: Collection[str]) -> None:
        """Put back what was learned, and wait until the router goes by it; raises Unavailable."""
        assert self.room.feedback is not None, "these services do not learn"
        await self.room.feedback.restore(learned)
        cells = kinds if self.tells_kinds else ("",)
        for _ in range(_MOST_LOOKS):
            if any([await self._goes_by(cell) for cell in cells]):
                return
            await asyncio.sleep(_SETTLING_S)
        raise Unavailable("no kind of request has a certified strictness that the router hears of")

    async def led(self, prompts: Sequence[Prompt]) -> list[Step]:
        """Answer every prompt while strictness is led."""
        steps = []
        for number, prompt in enumerate(prompts):
            cell = prompt.kind if self.tells_kinds else ""
            answer = await self._answered(prompt, self.room.lesson.learned, kind=cell)
            known = await self.room.strictness(cell)
            steps.append(Step(prompt, answer, cell, known))
            if number % 20 == 0:
                self.told(f"answer {number + 1} of {len(prompts)}: {said(known)}")
        return steps

    async def fixed(self, prompts: Sequence[Prompt], plan: Outline) -> list[Answer]:
        """Answer every prompt under a plan."""
        return [await self._answered(prompt, plan) for prompt in prompts]

    async def _goes_by(self, kind: str) -> bool:
        request = Request("x", plan=self.room.lesson.learned, kind=kind)
        try:
            decision = await self.room.router.route(request)
        except Unavailable:  # the router has not looked at the tiers yet
            return False
        return decision.plan.acceptance.rule is self.room.lesson.rule

    async def _answered(self, prompt: Prompt, plan: Outline, kind: str = "") -> Answer:
        stop = StopConditions(max_new_tokens=self.tokens)
        asked = Prompt(kind, prompt.id, prompt.messages)
        return await ask(self.room.router, Request("", stop=stop, plan=plan), asked)


def certificates(learned: bytes) -> bytes:
    """Return of an export what audits found at levels, for strictness to begin anew from that."""
    first, *cells = learned.decode().splitlines()
    kept = [line for line in cells if json.loads(json.loads(line)["cell"])[0] == "level"]
    return "\n".join([first, *kept, ""]).encode()


def _has_ended(known: StrictnessPolicy) -> bool:
    """Whether it is settled what is certified: something, or that nothing is."""
    return known.certified or known.strictness >= 1.0


def said(known: StrictnessPolicy | None) -> str:
    """Return what is learned, in a few words."""
    if known is None:
        return "nothing is learned yet"
    what = "in force" if known.certified else "tried"
    audits = f"{known.num_harmed} of {known.num_audits} audits harmed"
    return f"{known.kind or 'all'} {known.strictness:.3f} {what}, {audits}"
