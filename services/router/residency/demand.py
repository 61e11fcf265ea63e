"""How much is lost while a tier's model is not in memory: by what was asked of late, fading."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from services.router.deciding import REQUESTED, Decided
from services.router.fleet import Fleet
from services.router.forecasts.chain_times import ChainTimes
from services.router.fresh import Fresh
from tiercel.descriptions import Residency
from tiercel.plan_text import Outline
from tiercel.replies import Candidate
from tiercel.routing.policy import Wishes
from tiercel.types import Plan

# Of an answer in general, for what loading does to a plan's seconds.
_PROMPT_TOKENS, _ANSWER_TOKENS = 100.0, 128.0
# Where nobody said what a second is worth: twenty seconds for an answer.
_COST_WEIGHT = 0.05
_LOAD_S = 5.0  # where a tier never said how long loading takes
# Policies that do not look at what plans are predicted to give.
_UNSTEERED = ("static", "random", REQUESTED)


@dataclass
class _Asked:
    """What was asked of one tier."""

    worth: float = 0.0  # utility that would have been lost, faded
    at: float = float("-inf")  # when it was last faded
    used_at: float = float("-inf")


class Demand:
    """Counts for each tier the utility that requests would have lost, had its model been away.

    That is what waiting for the model costs, or going to the best plan without it, whichever is
    less. It counts too where a plan was not chosen because a model of it *is* away.
    """

    def __init__(
        self,
        plans: Mapping[str, Outline],
        fleet: Fleet,
        times: ChainTimes,
        *,
        fade_s: float,
        cost_weight: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Demand falls to a third in `fade_s` seconds."""
        self._plans = {name: outline.plan() for name, outline in plans.items()}
        self._fleet, self._times = fleet, times
        self._fade_s, self._cost_weight, self._clock = fade_s, cost_weight, clock
        self._asked: dict[str, _Asked] = defaultdict(_Asked)
        self._cold_s: Fresh[float] = Fresh()

    def worth(self, tier: str) -> float:
        """Return the utility that would have been lost of late, in units of quality."""
        asked = self._asked[tier]
        return asked.worth * math.exp(-max(0.0, self._clock() - asked.at) / self._fade_s)

    def idle_s(self, tier: str) -> float:
        """Return for how long no plan with this tier was chosen."""
        return self._clock() - self._asked[tier].used_at

    def begin(self, plan: Plan) -> None:
        """Count a plan as asked for once, as long as nothing was."""
        for tier in _tiers(plan):
            self._add(tier, self._loading(tier, Wishes()))

    def noted(self, decided: Decided, wishes: Wishes) -> None:
        """Take in one request that was answered, or should have been."""
        for tier in _tiers(decided.plan):
            self._asked[tier].used_at = self._clock()
        for tier, loss in self._losses(decided, wishes):
            self._add(tier, loss)

    def _add(self, tier: str, loss: float) -> None:
        asked = self._asked[tier]
        asked.worth, asked.at = self.worth(tier) + loss, self._clock()

    def _losses(self, decided: Decided, wishes: Wishes) -> Iterator[tuple[str, float]]:
        utilities = self._utilities(decided, wishes)
        if not utilities:
            yield from ((tier, self._loading(tier, wishes)) for tier in _tiers(decided.plan))
            return
        best = max(utilities.values())
        for tier in {tier for name in utilities for tier in _tiers(self._plans[name])}:
            others = [
                utility
                for name, utility in utilities.items()
                if tier not in _tiers(self._plans[name])
            ]
            waiting = self._loading(tier, wishes)
            yield tier, min(waiting, best - max(others)) if others else waiting

    def _utilities(self, decided: Decided, wishes: Wishes) -> dict[str, float]:
        """Return what each plan would be worth with its models in memory; none if nobody asked."""
        if decided.policy in _UNSTEERED:
            return {}
        free = [one for one in decided.candidates if not one.refused]
        if any(one.predicted_s is None for one in free):
            return {}
        return {one.plan_name: self._utility(one, wishes) for one in free}

    def _utility(self, one: Candidate, wishes: Wishes) -> float:
        warm_s = (one.predicted_s or 0.0) - self._loading_s(one.plan_name)
        return (one.predicted_quality or 0.0) - self._weight(wishes) * max(0.0, warm_s)

    def _loading_s(self, name: str) -> float:
        return self._cold_s.of(name, lambda: self._cold_seconds(self._plans[name]))

    def _cold_seconds(self, plan: Plan) -> float:
        """Return what an answer takes longer because models of the plan are away."""
        times = self._times.of(plan, "", {})
        if times is None:
            return 0.0
        begin_s = times.begin_s - self._away_s(plan.tier)
        warm = replace(times, begin_s=begin_s, late_s=0.0)
        cold_s = times.seconds(_PROMPT_TOKENS, _ANSWER_TOKENS)
        return cold_s - warm.seconds(_PROMPT_TOKENS, _ANSWER_TOKENS)

    def _away_s(self, tier: str) -> float:
        """Return the seconds of loading that stand in the times of a root."""
        known = [one.description for one in self._fleet.ready(tier) if one.description is not None]
        away = (Residency.AWAY, Residency.LOADING)
        return min((one.load_s if one.residency in away else 0.0 for one in known), default=0.0)

    def _loading(self, tier: str, wishes: Wishes) -> float:
        """Return what waiting for the model costs, in units of quality."""
        known = [one.description for one in self._fleet.of(tier) if one.description is not None]
        load_s = max((one.load_s for one in known), default=0.0) or _LOAD_S
        return self._weight(wishes) * load_s

    def _weight(self, wishes: Wishes) -> float:
        return wishes.cost_weight or self._cost_weight or _COST_WEIGHT


def _tiers(plan: Plan) -> Collection[str]:
    return {part.tier for part in plan.walk()}
