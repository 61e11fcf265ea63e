"""What a pass takes where many sessions share it."""

import pytest

from services.router.forecasts.chain_times import ChainTimes
from services.router.forecasts.plan_times import PlanTimes
from services.router.learning.learned import Advice
from tests.router.fleets import description, fleet_of, record
from tiercel.plan_text import parse_plan


async def times(plan: str, num_sessions: int) -> PlanTimes:
    """Of a root of 10 ms a pass and 1 ms a further token, and a drafter that costs nothing."""
    drafters = (record("draft", draft_s_per_token=0.0),)  # right in 80 of 100 places
    root = description("target", drafters=drafters, num_sessions=num_sessions)
    tiers = {"target": root, "draft": description("draft", engine="suffix")}
    async with fleet_of(tiers) as fleet:
        found = ChainTimes(fleet, Advice(), {}).of(parse_plan(plan).plan(), "", {})
    assert found is not None
    return found


async def test_a_draft_token_keeps_all_sessions_of_a_replica_waiting():
    alone, pair = "target", "target <- draft:2"
    quiet, crowd = await times(pair, 1), await times(pair, 20)
    assert quiet.token_s == pytest.approx((0.01 + 2 * 0.001) / 2.44)
    assert crowd.token_s == pytest.approx((0.01 + 2 * 20 * 0.001) / 2.44)
    assert quiet.token_s < (await times(alone, 1)).token_s
    assert crowd.token_s > (await times(alone, 20)).token_s, "drafting pays no more"
    assert crowd.token_cost == pytest.approx(quiet.token_cost), "its own work is as before"
