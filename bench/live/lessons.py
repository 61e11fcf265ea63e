"""What running services do: certify strictness, answer while it is led, answer at a fixed one."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    known: StrictnessPolicy | None


@dataclass(frozen=True)
class Lessons:
    """Asks prompts one after the other, none of whose kinds is told: there is one strictness."""

    room: Classroom
    tokens: int
    told: Callable[[str], None]

    async def certified(self, prompts: Sequence[Prompt]) -> bytes:
        """Answer under EXACT and have audits try levels, until it is known which are certified.

        Return all that was learned. Raises Unavailable if none is, or prompts do not suffice.
        """
        feedback = self.room.feedback
        assert feedback is not None, "these services do not learn"
        for number, prompt in enumerate(prompts):
            await self._answered(prompt, self.room.lesson.learned)
            known = await self.room.strictness()
            if number % 10 == 0:
                self.told(f"certifying: {number + 1} answers, {_said(known)}")
            if known is not None and (known.certified or known.strictness >= 1.0):
                break
        known = await self.room.strictness()
        if known is None or not known.certified:
            raise Unavailable(f"no strictness was certified: {_said(known)}")
        return b"".join([piece async for piece in feedback.export()])

    async def restored(self, learned: bytes) -> None:
        """Put back what was learned, and wait until the router goes by it; raises Unavailable."""
        assert self.room.feedback is not None, "these services do not learn"
        await self.room.feedback.restore(learned)
        request = Request("x", plan=self.room.lesson.learned)
        for _ in range(_MOST_LOOKS):
            decision = await self.room.router.route(request)
            if decision.plan.acceptance.rule is self.room.lesson.rule:
                return
            await asyncio.sleep(_SETTLING_S)
        raise Unavailable("the router does not hear what is learned")

    async def led(self, prompts: Sequence[Prompt]) -> list[Step]:
        """Answer every prompt while strictness is led."""
        steps = []
        for number, prompt in enumerate(prompts):
            answer = await self._answered(prompt, self.room.lesson.learned)
            known = await self.room.strictness()
            steps.append(Step(prompt, answer, known))
            if number % 20 == 0:
                self.told(f"answer {number + 1} of {len(prompts)}: {_said(known)}")
        return steps

    async def fixed(self, prompts: Sequence[Prompt], plan: Outline) -> list[Answer]:
        """Answer every prompt under a plan."""
        return [await self._answered(prompt, plan) for prompt in prompts]

    async def _answered(self, prompt: Prompt, plan: Outline) -> Answer:
        stop = StopConditions(max_new_tokens=self.tokens)
        asked = Prompt("", prompt.id, prompt.messages)
        return await ask(self.room.router, Request("", stop=stop, plan=plan), asked)


def _said(known: StrictnessPolicy | None) -> str:
    if known is None:
        return "nothing is learned yet"
    what = "in force" if known.certified else "tried"
    audits = f"{known.num_harmed} of {known.num_audits} audits harmed"
    return f"strictness {known.strictness:.3f} {what}, {audits}"
