"""From a decision to an answer: of one plan, or of a cascade whose larger plans may overrule it."""

import math
from collections.abc import Mapping
from dataclasses import replace

from services.router.answer import Answer
from services.router.call import Call
from services.router.cascade.escalation import Escalation
from services.router.cascade.stopper import Stoppers
from services.router.deciding import Decided, Decider
from services.router.fleet import Fleet
from services.router.learning.strictness import bound, left_open
from tiercel.plan_text import Outline
from tiercel.sessions import DraftPrefix
from tiercel.types import Plan

# The policy whose answers are looked at on the way.
CASCADE = "cascade"
# How long a larger plan may keep a smaller one's answer waiting before its first token.
_FIRST_OUTAGE_S = 1.0


class Answering:
    """Makes answers over a fleet."""

    def __init__(
        self,
        plans: Mapping[str, Outline],
        fleet: Fleet,
        decider: Decider,
        *,
        heartbeat_s: float,
        max_outage_s: float,
        stoppers: Stoppers | None = None,
    ) -> None:
        """Without `stoppers` no answer is overruled."""
        self._plans, self._fleet, self._decider = plans, fleet, decider
        self._heartbeat_s, self._max_outage_s = heartbeat_s, max_outage_s
        self._stoppers = stoppers

    def of(self, call: Call, decided: Decided) -> Escalation:
        """Return the answer to a call, to be prepared."""

        def opened(plan_name: str, said: DraftPrefix | None, is_looked_at: bool) -> Answer:
            return Answer(
                replace(call.ask, draft_prefix=said, evidence=is_looked_at),
                decided.plan if said is None else self._plan(plan_name, call),
                self._fleet,
                deadline=call.deadline,
                heartbeat_s=self._heartbeat_s,
                max_outage_s=self._max_outage_s,
                first_outage_s=math.inf if said is None else _FIRST_OUTAGE_S,
            )

        looks = self._stoppers if decided.policy == CASCADE else None
        return Escalation(
            decided.plan_name,
            opened,
            stopper=looks(call.kind) if looks is not None else None,
            delivery=call.objective.delivery,
            takes_work=self._takes_work,
        )

    def _plan(self, name: str, call: Call) -> Plan:
        asked = left_open(call.objective, self._plans, name)
        plan = self._decider.advised(self._plans[name], call.kind, call.objective.acceptance)
        return bound(plan, asked, call.ask.constraint)

    def _takes_work(self, name: str) -> bool:
        outline = self._plans.get(name)
        return outline is not None and bool(self._fleet.ready(outline.tier))
