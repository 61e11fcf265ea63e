"""What a pass takes where many sessions share it."""

import pytest

from services.router.forecasts.chain_times import ChainTimes
from services.router.forecasts.plan_times import PlanTimes
from services.router.learning.learned import Advice
from tests.router.fleets import description, fleet_of, record
from tiercel.plan_text import parse_plan


async def times(
    plan: str, num_sessions: int, mean_sessions: float = 0.0, **rates: float
) -> PlanTimes:
    """Of a root of 10 ms a pass and 1 ms a further token, and a drafter that costs nothing."""
    drafters = (record("draft", 60.0, 40.0, **rates),)
    load = {"num_sessions": num_sessions, "mean_sessions": mean_sessions}
    root = description("target", drafters=drafters, **load)
    tiers = {"target": root, "draft": description("draft", engine="suffix")}
    async with fleet_of(tiers) as fleet:
        found = ChainTimes(fleet, Advice(), {}).of(parse_plan(plan).plan(), "", {})
    assert found is not None
    return found


async def test_a_draft_token_keeps_all_sessions_of_a_replica_waiting():
    alone, pair = "target", "target <- draft:2"
    quiet, crowd = await times(pair, 1), await times(pair, 20)
    assert quiet.token_s == pytest.approx((0.01 + 2 * 0.001) / 1.96)
    assert crowd.token_s == pytest.approx((0.01 + (3 * 20 - 1) * 0.001) / 1.96)
    assert quiet.token_s < (await times(alone, 1)).token_s
    assert crowd.token_s > (await times(alone, 20)).token_s, "drafting pays no more"
    assert crowd.token_cost == pytest.approx(quiet.token_cost), "its own work is as before"


async def test_who_comes_between_two_waves_is_planned_for_a_wave():
    pair = "target <- draft:2"
    between, within = await times(pair, 0, mean_sessions=19.7), await times(pair, 20)
    assert between == within
    assert await times(pair, 0, mean_sessions=0.3) == await times(pair, 1), "the wave is over"


async def test_a_look_up_that_seldom_has_anything_is_not_taken_for_one_that_always_has():
    async def token_s(**rates: float) -> float:
        return (await times("target <- draft:2", 1, **rates)).token_s

    always = await token_s()
    assert await token_s(start_rate=1.0, continue_rate=1.0) == always, "as if not known"
    # Half of the passes have a draft, of one token: (10 + 11) / 2 ms for (1 + 1.6) / 2 tokens.
    assert await token_s(start_rate=0.5, continue_rate=1e-9) == pytest.approx(0.0105 / 1.3)
    assert await token_s(start_rate=1e-9, continue_rate=1.0) == pytest.approx(0.01), "plain"
