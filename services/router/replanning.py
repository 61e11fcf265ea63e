"""Open answers follow what replicas tell: another plan below the root, where that saves time."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from services.router import metrics
from services.router.answer import Answer
from services.router.call import Call
from services.router.cascade.escalation import Escalation
from services.router.deciding import Decided, Decider
from services.router.drafting import Progress
from services.router.forecasts.chain_times import ChainTimes
from services.router.forecasts.plan_times import PlanTimes
from services.router.fresh import Fresh
from tiercel.plan_text import Outline, print_plan
from tiercel.types import Plan

log = structlog.get_logger(__name__)

# Another plan has to save so much of the time that is left.
_MIN_SAVED = 0.1
# An answer is left alone for so long after a change: its new drafters have to be heard first.
_REST_S = 2.0


@dataclass(eq=False)
class _Open:
    call: Call
    answer: Escalation
    changed_at: float = -math.inf


@dataclass(frozen=True)
class _Priced:
    """A plan with addresses, and the seconds that the rest of an answer takes under it."""

    rest_s: float
    name: str
    plan: Plan


class Replanner:
    """Looks at every open answer whose drafters were left to the router; roots and rules stay."""

    def __init__(
        self,
        plans: Mapping[str, Outline],
        decider: Decider,
        times: ChainTimes,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plans, self._decider, self._times = plans, decider, times
        self._clock = clock
        self._open: list[_Open] = []
        self._known: Fresh[PlanTimes | None] = Fresh()

    @contextmanager
    def following(self, call: Call, decided: Decided, answer: Escalation) -> Iterator[None]:
        """Look at this answer while the body runs, if its drafters were left to the router."""
        if not self._is_free(call, decided):
            yield
            return
        one = _Open(call, answer)
        self._open.append(one)
        try:
            yield
        finally:
            self._open.remove(one)

    async def look(self) -> None:
        """Change the plan of every open answer that is predicted to end sooner for it."""
        for one in list(self._open):
            await asyncio.sleep(0)  # many answers must not hold up new ones
            if self._clock() - one.changed_at >= _REST_S and self._changes(one):
                one.changed_at = self._clock()

    def _is_free(self, call: Call, decided: Decided) -> bool:
        """Whether nobody said what is to be below the root: no caller, no draw to learn from."""
        if call.objective.outline is not None:
            return False
        if call.objective.plan_name:
            return _is_unwritten(self._plans[decided.plan_name])
        most = max((one.probability for one in decided.candidates), default=0.0)
        return decided.policy != "random" and decided.propensity >= most

    def _changes(self, one: _Open) -> bool:
        answer, kind = one.answer.current, one.call.kind
        progress = answer.progress
        if progress is None or progress.num_left < 1:
            return False
        now_s = self._rest_s(answer, answer.plan, kind, progress)
        found = list(self._others(one, answer, progress))
        if now_s is None or not found:
            return False
        best = min(found, key=lambda priced: priced.rest_s)
        if best.rest_s > (1 - _MIN_SAVED) * now_s:
            return False
        self._change(one, best, now_s)
        return True

    def _change(self, one: _Open, best: _Priced, now_s: float) -> None:
        answer = one.answer.current
        log.info(
            "an answer is planned anew",
            request_id=one.call.ask.request_id,
            plan=print_plan(best.plan),
            instead_of=print_plan(answer.plan),
            reason=f"{best.rest_s:.3g} s for what is left instead of {now_s:.3g} s",
        )
        metrics.num_replans.labels(best.name).inc()
        answer.replan(best.plan)

    def _others(self, one: _Open, answer: Answer, progress: Progress) -> Iterator[_Priced]:
        for name, plan in self._named(one):
            reached = answer.reaches(plan)
            if reached is None or replace(reached, version=answer.plan.version) == answer.plan:
                continue
            rest_s = self._rest_s(answer, reached, one.call.kind, progress)
            if rest_s is not None:
                yield _Priced(rest_s, name, reached)

    def _named(self, one: _Open) -> Iterator[tuple[str, Plan]]:
        """Yield the named plans that give the same answer under the same rule."""
        objective = one.call.objective
        plans = self._decider.plans(one.call.kind, objective.acceptance)
        name, now = one.answer.plan_name, one.answer.plan
        for other, planned in plans.items():
            is_meant = not objective.plan_name or other == name
            same = planned.answer == plans[name].answer
            if is_meant and same and planned.plan.acceptance == now.acceptance:
                yield other, planned.plan

    def _rest_s(self, answer: Answer, plan: Plan, kind: str, progress: Progress) -> float | None:
        """Return the seconds of the tokens left; new drafters have to read all that was said."""
        times = self._known.of((plan, kind), lambda: self._times.of(plan, kind, {}))
        if times is None:
            return None
        here = {(part.tier, part.address) for part in answer.plan.walk()}
        new = (part for part in plan.walk() if (part.tier, part.address) not in here)
        reading = (self._times.prompt_s(part, progress.num_read) for part in new)
        return times.rest_s(progress.num_left, joining_s=max(reading, default=0.0))


def _is_unwritten(outline: Outline) -> bool:
    """Whether every number below the root was left open."""
    return all(not below.is_written and _is_unwritten(below) for below in outline.drafters)
