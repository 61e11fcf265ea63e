"""An answer whose plan may be overruled in its middle: a larger one judges what was said so far."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import structlog

from services.router import metrics
from services.router.answer import Answer
from services.router.cascade.check_points import CheckPoints
from services.router.cascade.delivery import Delivering, Held, Part, Streamed
from services.router.cascade.leg import Leg, with_usage_of
from services.router.cascade.revising import Revised
from services.router.cascade.stopper import Stopper
from tiercel.errors import TiercelError
from tiercel.replies import Committed, StageDecision
from tiercel.sessions import Delivery, DraftPrefix, SessionEnd
from tiercel.types import FinishReason, Plan
from tiercel.wire.requests import TokenIds

log = structlog.get_logger(__name__)

# Makes the answer of a plan, perhaps to judge what another said, perhaps with evidence of tokens.
Opener = Callable[[str, DraftPrefix | None, bool], Answer]


class Escalation:
    """As `Answer`, over the plans of a cascade; without a stopper it is the first plan's answer.

    Whichever plan answers in the end, the answer is its root's own, from the first token on.
    """

    def __init__(
        self,
        plan_name: str,
        opener: Opener,
        *,
        stopper: Stopper | None = None,
        delivery: Delivery = Delivery.STREAM,
        takes_work: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Begin with a plan; of the larger ones those may be asked whose root `takes_work`."""
        is_alone = delivery is Delivery.STREAM
        self._checks = CheckPoints(None if is_alone else stopper, plan_name, takes_work)
        self._delivery = _delivering(delivery) if self._checks.are_left else Streamed()
        self._opener = opener
        self._leg = self._opened(plan_name, None)
        self._earlier: list[Leg] = []  # that can be gone back to, the last one first
        self._others: list[Leg] = []  # all that had a part in the answer
        self._is_complete = False

    @property
    def stages(self) -> tuple[StageDecision, ...]:
        """What was decided so far."""
        return tuple(self._checks.decisions)

    @property
    def plan_name(self) -> str:
        """The plan that answers now."""
        return self._leg.plan_name

    @property
    def plan(self) -> Plan:
        """The same, with addresses."""
        return self._leg.answer.plan

    @property
    def current(self) -> Answer:
        """What answers now."""
        return self._leg.answer

    @property
    def exact(self) -> bool:
        """Whether the answer is that of the plan's root, bit for bit."""
        return self._leg.answer.exact

    @property
    def num_failovers(self) -> int:
        """Replicas lost in mid-answer, whatever their plan."""
        return sum(leg.answer.num_failovers for leg in (self._leg, *self._others))

    @property
    def prompt(self) -> TokenIds:
        """What is answered, as the present root has it; nothing as long as it does not."""
        return self._leg.answer.prompt

    def said(self) -> DraftPrefix:
        """Return what is the answer so far."""
        return self._leg.said()

    @property
    def overruled(self) -> set[tuple[str, str]]:
        """Roots whose text another one judged, each with that one."""
        roots = {leg.plan_name: leg.answer.plan.tier for leg in (self._leg, *self._others)}
        changes = ((one.plan_name, one.next_plan_name) for one in self.stages)
        return {(roots[one], roots[other]) for one, other in changes if other}

    async def prepare(self) -> None:
        """Pick a root replica for the first plan; raises as Answer.prepare does."""
        await self._leg.answer.prepare()

    async def events(self) -> AsyncGenerator[Part | SessionEnd, None]:
        """Yield tokens, and what takes some back, then the end; raises as Answer.events does.

        If a larger plan fails, the one before it goes on where it was.
        """
        while not self._is_complete:
            try:
                async with aclosing(self._parts_of(self._leg)) as parts:
                    async for part in parts:
                        yield part
            except TiercelError as error:
                if not self._can_go_back:
                    raise
                self._go_back(f"{self.plan_name} failed: {error}")
        for part in self._delivery.over():
            yield part
        yield with_usage_of(self._leg.ended(FinishReason.DEADLINE), self._others)

    async def _parts_of(self, leg: Leg) -> AsyncGenerator[Part, None]:
        """Yield what one plan brings, until its end or until another takes over."""
        for part in self._said_before(leg):
            yield part
        if leg.end is None:
            async with aclosing(leg.answer.events()) as events:
                async for event in events:
                    for part in self._taken(leg, event):
                        yield part
                    decision = self._checks.decide(leg, self._complete())
                    if decision is not None and await self._goes_over(decision):
                        return
                    for part in self._certain():
                        yield part
        self._end(leg)

    def _said_before(self, leg: Leg) -> list[Part]:
        taken = (self._delivery.take(committed, leg.words) for committed in leg.committed)
        return [part for parts in taken for part in parts]

    def _taken(self, leg: Leg, event: Committed | SessionEnd) -> Sequence[Part]:
        if isinstance(event, SessionEnd):
            leg.end = event
            return ()
        return self._delivery.take(leg.take(event), leg.words)

    def _certain(self) -> Sequence[Part]:
        return () if self._checks.are_left else self._delivery.certain()

    def _end(self, leg: Leg) -> None:
        """Let the answer be complete, unless time was up before as much was said as before."""
        assert leg.end is not None, "an answer ends in an end or an error"
        is_late = leg.end.reason is FinishReason.DEADLINE
        if is_late and self._can_go_back and len(leg.text) < len(self._earlier[-1].text):
            self._go_back(f"{leg.plan_name} was out of time")
        else:
            self._is_complete = True

    @property
    def _can_go_back(self) -> bool:
        return bool(self._earlier) and self._delivery.can_change

    def _complete(self, *others: Leg) -> list[str]:
        """Return the plans whose answers are complete, of those that can be gone back to."""
        return [one.plan_name for one in (*self._earlier, *others) if one.end is not None]

    async def _goes_over(self, decision: StageDecision) -> bool:
        """Follow a decision for another plan; return whether that could be done."""
        name = decision.next_plan_name
        known = next((leg for leg in self._earlier if leg.plan_name == name), None)
        leg = known or self._opened(name, self._leg.said())
        if known is None:
            try:
                await leg.answer.prepare()
            except TiercelError as error:
                log.warning("a larger plan could not take over", plan=name, problem=str(error))
                self._checks.failed(f"{name} could not take over: {error}")
                return False
            self._earlier.append(self._leg)
        metrics.num_escalations.labels(self.plan_name, name).inc()
        self._change(leg, decision)
        return True

    def _go_back(self, why: str) -> None:
        """Let the plan that was overruled last have its way, whatever it says."""
        log.warning("an escalation came to nothing", problem=why)
        leg = self._earlier.pop()
        self._change(leg, self._checks.forced(self._leg, leg.plan_name, why))
        self._checks.settle()

    def _change(self, leg: Leg, decision: StageDecision) -> None:
        self._others = [*(one for one in self._others if one is not leg), self._leg]
        self._leg = leg
        self._delivery.overruled(decision)
        self._checks.begin(leg.plan_name, self._complete())

    def _opened(self, plan_name: str, said: DraftPrefix | None) -> Leg:
        complete = self._complete(self._leg) if said is not None else ()
        is_looked_at = self._checks.are_on(plan_name, complete)
        return Leg(plan_name, self._opener(plan_name, said, is_looked_at))


def _delivering(delivery: Delivery) -> Delivering:
    return Held() if delivery is Delivery.HOLD else Revised()
