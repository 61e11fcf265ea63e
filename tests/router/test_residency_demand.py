"""What is asked of tiers: by what a request would have lost without them, also if they are away."""

from dataclasses import replace

import numpy as np
import pytest

from services.router.deciding import Decided
from services.router.forecasts.chain_times import ChainTimes
from services.router.learning.learned import Advice
from services.router.residency.choice import Holding, to_hold
from services.router.residency.demand import Demand
from tests.router.fleets import description, fleet_of
from tiercel.descriptions import Residency
from tiercel.plan_text import parse_plan
from tiercel.replies import Candidate
from tiercel.routing.policy import Wishes
from tiercel.types import Plan

PLANS = {
    "cheap": parse_plan("small"),
    "dear": parse_plan("large"),
    "pair": parse_plan("large <- small"),
}
LOAD_S = 8.0
AWAY = {"residency": Residency.AWAY, "load_s": LOAD_S}
HERE = {"residency": Residency.RESIDENT, "load_s": LOAD_S}
WEIGHT = Wishes(cost_weight=0.05)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def candidate(name: str, quality: float, seconds: float, refused: str = "") -> Candidate:
    return Candidate(name, seconds, quality, None, None, 1.0, refused)


def decided(name: str, *candidates: Candidate, policy: str = "utility") -> Decided:
    return Decided(name, PLANS[name].plan(), policy, "", candidates=candidates)


async def demand_of(*seen: Decided, small=HERE, large=HERE, wishes=WEIGHT) -> dict[str, float]:
    tiers = {"small": description("small", **small), "large": description("large", **large)}
    async with fleet_of(tiers) as fleet:
        times = ChainTimes(fleet, Advice(), {})
        demand = Demand(PLANS, fleet, times, fade_s=10.0, clock=Clock())
        for one in seen:
            demand.noted(one, wishes)
        return {tier: demand.worth(tier) for tier in tiers}


async def test_a_model_is_worth_waiting_for_it_or_doing_without_whichever_is_less():
    near = decided("dear", candidate("cheap", 0.7, 1.0), candidate("dear", 0.9, 2.0))
    far = decided("dear", candidate("cheap", 0.1, 1.0), candidate("dear", 0.9, 2.0))
    assert await demand_of(near) == pytest.approx({"small": 0.0, "large": 0.2 - 0.05})
    assert await demand_of(far) == pytest.approx({"small": 0.0, "large": 0.05 * LOAD_S})
    assert await demand_of(near, near) == pytest.approx({"small": 0.0, "large": 0.3})


async def test_a_model_that_nobody_chose_because_it_is_away_is_missed():
    priced = decided("cheap", candidate("cheap", 0.5, 1.0), candidate("dear", 0.6, 1.0 + LOAD_S))
    assert await demand_of(priced, large=AWAY) == pytest.approx({"small": 0.0, "large": 0.1})
    # It is slow, and not away: nothing is lost without it.
    assert await demand_of(priced) == pytest.approx({"small": 0.3, "large": 0.0})


async def test_who_names_a_plan_would_have_to_wait_for_its_models():
    for policy in ("requested", "static"):
        named = decided("pair", candidate("cheap", 0.9, 1.0), policy=policy)
        expected = {"small": 0.05 * LOAD_S, "large": 0.05 * LOAD_S}
        assert await demand_of(named) == pytest.approx(expected)
    unknown = replace(decided("dear", candidate("cheap", 0.9, 1.0)), candidates=())
    assert await demand_of(unknown) == pytest.approx({"small": 0.0, "large": 0.05 * LOAD_S})


async def test_a_plan_that_may_not_be_picked_is_not_missed():
    refused = candidate("dear", 0.9, 1.0, refused="over budget")
    seen = decided("cheap", candidate("cheap", 0.5, 1.0), refused)
    assert (await demand_of(seen, large=AWAY))["large"] == 0.0


async def test_demand_fades():
    clock = Clock()
    async with fleet_of({"small": description("small", **HERE), "large": None}) as fleet:
        demand = Demand(PLANS, fleet, ChainTimes(fleet, Advice(), {}), fade_s=10.0, clock=clock)
        assert (demand.worth("small"), demand.idle_s("small")) == (0.0, float("inf"))
        demand.begin(Plan("small"))
        assert demand.worth("small") == pytest.approx(0.05 * LOAD_S)
        clock.now += 10.0
        demand.noted(decided("cheap", policy="static"), Wishes())
        assert demand.worth("small") == pytest.approx(0.05 * LOAD_S * (1.0 + np.exp(-1.0)))
        clock.now += 30.0
        assert demand.worth("small") == pytest.approx(0.4 * (np.exp(-3.0) + np.exp(-4.0)))
        assert demand.idle_s("small") == 30.0


def holding(name: str, size: int, worth: float, *, here: bool = False, stays: bool = False):
    return Holding(name, size, worth, here, stays)


@pytest.mark.parametrize(
    ("holdings", "held"),
    [
        ([holding("a", 6, 1.0), holding("b", 6, 2.0)], {"b"}),
        ([holding("a", 6, 1.0, here=True), holding("b", 6, 1.4)], {"a"}),  # not worth a change
        ([holding("a", 6, 1.0, here=True), holding("b", 6, 1.6)], {"b"}),
        ([holding("a", 6, 0.0, here=True), holding("b", 6, 0.0)], {"a"}),  # nothing to gain
        ([holding("a", 6, 0.1, here=True, stays=True), holding("b", 6, 9.0)], {"a"}),
        ([holding("a", 2, 1.0), holding("b", 3, 1.0), holding("c", 5, 1.0)], {"a", "b", "c"}),
        ([holding("a", 1, 1.0), holding("b", 10, 6.0)], {"b"}),  # by the byte a, in all b
        ([holding("a", 11, 9.0), holding("b", 4, 1.0)], {"b"}),
        ([holding("a", 9, 1.0, here=True, stays=True)] * 2, {"a"}),  # too much, and stays
    ],
)
def test_memory_holds_what_is_worth_most(holdings, held):
    assert to_hold(holdings, 10) == held


def test_at_least_half_of_the_optimum_is_held():
    draw = np.random.default_rng(0)
    for _ in range(60):
        sizes, worth = draw.integers(1, 8, 7), draw.random(7)
        one = [holding(str(at), int(sizes[at]), float(worth[at])) for at in range(7)]
        held = [int(name) for name in to_hold(one, 10)]
        assert sizes[held].sum() <= 10
        chosen = (np.arange(128)[:, None] >> np.arange(7)) & 1
        best = (chosen @ worth)[chosen @ sizes <= 10].max()
        assert worth[held].sum() >= best / 2
