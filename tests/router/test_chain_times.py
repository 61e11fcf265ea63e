"""Seconds and costs of plans, from what tiers measure, what was learned, and priors."""

from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from services.router.forecasts.chain_times import ChainTimes
from services.router.learning.learned import Advice
from tests.router.fleets import description, fleet_of, record
from tiercel.descriptions import Residency, Speed
from tiercel.learning import LearnedPolicy, PairPolicy, TierPolicy
from tiercel.plan_text import parse_plan
from tiercel.routing.likeness import Likeness
from tiercel.types import PairStats

PAIR = parse_plan("target <- draft:2").plan()
CHAIN = parse_plan("target <- draft:2 <- suffix:3").plan()
ALONE = parse_plan("target").plan()


def learned(drafter: str, verifier: str, rate: float, **fields) -> PairPolicy:
    numbers = {"num_speculative_tokens": 4, "draft_confidence": 0.0, "num_judged_tokens": 100}
    times = {"draft_s_per_token": 0.001, "verify_s_per_pass": 0.02}
    return PairPolicy(
        drafter=drafter,
        verifier=verifier,
        kind=fields.pop("kind", ""),
        acceptance_rate=rate,
        **(numbers | times | fields),
    )


def advice(*pairs: PairPolicy) -> Advice:
    known = Advice()
    known.take(LearnedPolicy("e", 1, pairs))
    return known


async def times(plan, about, *, known=None, kind="", predicted=None, prices=None, local=()):
    async with fleet_of(about, local=local) as fleet:
        chains = ChainTimes(fleet, known or Advice(), prices or {})
        return chains.of(plan, kind, predicted or {})


async def test_a_plan_of_one_tier_is_its_prompt_and_a_pass_for_each_token():
    found = await times(ALONE, {"target": description("target")})
    assert found.seconds(100, 11) == pytest.approx(100 * 0.002 + 10 * 0.01)
    assert found.cost(100, 11) == pytest.approx(100 * 0.002 + 10 * 0.01)


async def test_a_drafter_that_was_only_scored_takes_the_time_of_its_own_passes():
    about = {"target": description("target"), "draft": description("draft")}
    scored = advice(learned("draft", "target", 0.9, draft_s_per_token=0.0))
    found = await times(PAIR, about, known=scored)
    assert found.token_s == pytest.approx((2 * 0.01 + 0.012) / (1 + 0.9 + 0.81))
    about["draft"] = description("draft", speed=Speed())
    assert await times(PAIR, about, known=scored) is None, "it never ran, and is not free"
    about["draft"] = description("draft", speed=Speed(), engine="suffix")
    assert (await times(PAIR, about, known=scored)).token_s == pytest.approx(0.012 / 2.71)


async def test_a_pair_by_hand():
    target = description(
        "target", drafters=(record("draft", draft_s_per_token=0.003, latency_s=0.008),)
    )
    found = await times(PAIR, {"target": target, "draft": description("draft")})
    # Two drafted tokens, a pass over three, a round trip of 8 - 2 * 3 ms: 1 + a + a^2 tokens.
    block_s = 2 * 0.003 + 0.012 + 0.002
    assert found.token_s == pytest.approx(block_s / (1 + 0.8 + 0.64))
    dear = await times(
        PAIR, {"target": target, "draft": description("draft")}, prices={"target": 10.0}
    )
    assert dear.token_cost == pytest.approx((0.12 + 0.006) / (1 + 0.8 + 0.64))


async def test_what_is_tried_of_late_goes_before_what_was_learned_of_all_kinds():
    about = {"target": description("target", drafters=(record("draft", 90.0, 10.0),))}
    about |= {"draft": description("draft")}
    of_kind = learned("draft", "target", 0.3, kind="code")
    slow, quick = advice(learned("draft", "target", 0.3)), advice(of_kind)
    live = await times(PAIR, about)
    assert (await times(PAIR, about, known=slow)).token_s == live.token_s
    assert (await times(PAIR, about, known=quick, kind="code")).token_s > live.token_s
    few = {"target": description("target", drafters=(record("draft", 9.0, 1.0),))} | {
        "draft": description("draft")
    }
    known = await times(PAIR, few, known=slow)
    assert known.token_s > live.token_s, "ten tokens are chance"
    chance = advice(learned("draft", "target", 0.99, num_judged_tokens=3))
    assert await times(PAIR, few, known=chance) is None, "and so are three that were learned"


async def test_a_pair_never_tried_is_predicted_or_else_bounded_by_a_third_tier():
    about = {"target": description("target"), "draft": description("draft")}
    assert await times(PAIR, about) is None
    predicted = await times(PAIR, about, predicted={"draft under target": 0.8})
    assert (
        predicted.token_s
        < (await times(PAIR, about, predicted={"draft under target": 0.5})).token_s
    )
    third = advice(learned("draft", "other", 0.9), learned("other", "target", 0.9))
    bounded = await times(PAIR, about, known=third)
    same = await times(PAIR, about, predicted={"draft under target": 0.8})
    assert bounded.token_s == pytest.approx(same.token_s)


async def test_distributions_that_were_compared_are_a_prior():
    about = {"target": description("target"), "draft": description("draft")}
    async with fleet_of(about) as fleet:
        chains = ChainTimes(fleet, Advice(), {})
        chains.compared([PairStats("draft", "target")])
        assert chains.of(PAIR, "", {}) is None, "nothing was compared yet"
        chains.compared([PairStats("draft", "target", num_compared=10, total_variation=2.0)])
        found = chains.of(PAIR, "", {})
        same = chains.of(PAIR, "", {"draft under target": 0.8 / 1.2})
        assert found.token_s == pytest.approx(same.token_s)


async def test_a_local_drafter_that_was_never_asked_costs_nothing():
    about = {"target": description("target")}
    plan = parse_plan("target <- suffix:4").plan()
    found = await times(plan, about, local=["suffix"], predicted={"suffix under target": 0.5})
    assert found.token_s == pytest.approx(0.014 / (1 + 0.5 + 0.25 + 0.125 + 0.0625))


async def test_a_chain_of_three_nests_and_several_drafters_count_as_the_quickest():
    about = {"target": description("target"), "draft": description("draft")}
    about["suffix"] = description("suffix", speed=Speed(0.0001))
    rates = {"draft under target": 0.8, "suffix under draft": 0.5, "suffix under target": 0.2}
    chain = await times(CHAIN, about, predicted=rates)
    pair = await times(PAIR, about, predicted=rates)
    assert chain.token_s < pair.token_s
    looked_up = await times(parse_plan("target <- suffix:4").plan(), about, predicted=rates)
    both = await times(parse_plan("target <- [draft:2, suffix:4]").plan(), about, predicted=rates)
    assert both.token_s == min(pair.token_s, looked_up.token_s)
    assert pair.token_s != looked_up.token_s


async def test_zero_speculative_tokens_is_plain_decoding():
    about = {"target": description("target"), "draft": description("draft")}
    plain = await times(parse_plan("target <- draft:0").plan(), about)
    assert plain.token_s == (await times(ALONE, about)).token_s


async def test_load_and_a_model_that_is_away_are_priced():
    idle = await times(ALONE, {"target": description("target")})
    queued = await times(ALONE, {"target": description("target", num_waiting_passes=3)})
    assert queued.token_s == pytest.approx(4 * idle.token_s)
    assert queued.token_cost == pytest.approx(idle.token_cost), "waiting costs nobody's work"
    away = description("target", residency=Residency.AWAY, load_s=7.0)
    assert (await times(ALONE, {"target": away})).begin_s == pytest.approx(7.0)


async def test_a_drafter_that_is_away_joins_an_answer_late_and_never_makes_it_slower_than_without():
    rates, speed = {"draft under target": 0.8}, Speed(0.001)
    about = {"target": description("target"), "draft": description("draft", speed=speed)}
    here = await times(PAIR, about, predicted=rates)
    for state in (Residency.AWAY, Residency.LOADING):
        draft = description("draft", speed=speed, residency=state, load_s=1.0)
        late = await times(PAIR, about | {"draft": draft}, predicted=rates)
        assert here.rest_s(10) < late.rest_s(10) == pytest.approx(10 * 0.01)
        saved = 1 - here.token_s / 0.01
        assert late.rest_s(1000) == pytest.approx(here.rest_s(1000) + saved)
        assert here.rest_s(1000, joining_s=1.0) == pytest.approx(late.rest_s(1000))


async def test_a_drafter_that_is_down_leaves_its_parent_alone():
    records = (record("draft", draft_s_per_token=0.003),)
    about = {"target": description("target", drafters=records), "draft": description("draft")}
    assert (await times(PAIR, about)).token_s != pytest.approx(0.01)
    assert (await times(PAIR, about | {"draft": None})).token_s == pytest.approx(0.01)


async def test_what_was_measured_of_a_drafter_long_ago_gives_way_to_what_it_says_of_itself():
    quick = description("draft", speed=Speed(0.002))
    rates = {"draft under target": 0.8}

    async def token_s(accepted: float) -> float:
        slow = record("draft", accepted, 0.25 * accepted, draft_s_per_token=0.1)
        target = description("target", drafters=(slow,))
        return (await times(PAIR, {"target": target, "draft": quick}, predicted=rates)).token_s

    assert await token_s(accepted=80.0) == pytest.approx(0.212 / 2.44)
    assert await token_s(accepted=1.0) == pytest.approx(0.016 / 2.44)


async def test_a_part_with_an_address_is_priced_as_that_replica():
    async with fleet_of({"target": description("target")}) as fleet:
        fleet.set_addresses("target", ["localhost:1", "localhost:2"])
        slow = fleet.find("target", "localhost:2")
        slow.is_ready(description("target", speed=Speed(0.05)))
        chains = ChainTimes(fleet, Advice(), {})
        assert chains.of(ALONE, "", {}).token_s == pytest.approx(0.01)
        there = replace(ALONE, address="localhost:2")
        assert chains.of(there, "", {}).token_s == pytest.approx(0.05)
        assert chains.prompt_s(ALONE, 100) == pytest.approx(0.2)
        assert chains.prompt_s(there, 100) == 0.0, "not measured there"


async def test_a_wait_that_is_over_does_not_count():
    waited = Speed(0.01, 0.001, 0.002, wait_s=0.05)
    busy = await times(ALONE, {"target": description("target", speed=waited, num_sessions=1)})
    idle = await times(ALONE, {"target": description("target", speed=waited)})
    assert (busy.token_s, idle.token_s) == pytest.approx((0.06, 0.01))


async def test_without_any_step_time_what_feedback_learned_is_used():
    unmeasured = {"target": description("target", speed=Speed())}
    assert await times(ALONE, unmeasured) is None
    known = advice(learned("draft", "target", 0.5))
    assert (await times(ALONE, unmeasured, known=known)).token_s == pytest.approx(0.02)
    assert await times(ALONE, {"target": None}) is None


def test_likeness_moves_with_what_it_sees_and_knows_no_strangers():
    known = Likeness()
    assert known.acceptance("a", "b", {}) is None
    known.compared("a", "b", 0.0)
    assert known.acceptance("b", "a", {}) == 1.0
    for _ in range(200):
        known.compared("a", "b", 0.5)
    assert known.acceptance("a", "b", {}) == pytest.approx(0.5 / 1.5, rel=1e-3)
    assert known.acceptance("a", "c", {}) is None
    assert known.acceptance("a", "c", {("b", "c"): 0.9}) == pytest.approx(1 / 3 - 0.1, abs=1e-3)
    assert known.acceptance("a", "c", {("b", "c"): 0.1}) == 0.0


async def test_until_a_replica_tells_its_speed_what_was_learned_of_its_tier_is_used():
    bands = (
        TierPolicy("target", 0, 0.03, 0.002, 0.001, 0.1, 0.2, 50),
        TierPolicy("target", 4, 0.03, 0.002, 0.001, 0.7, 0.9, 50),
        TierPolicy("other", 0, 9.0, 0.0, 0.0, 0.0, 0.0, 50),
    )
    known = advice(learned("draft", "target", 0.8))
    known.take(replace(known.policy, version=2, tiers=bands))
    silent = {"target": description("target", speed=Speed()), "draft": description("draft")}
    idle = await times(ALONE, silent, known=known)
    assert idle.seconds(100, 11) == pytest.approx(100 * 0.001 + 10 * 0.03)
    pair = await times(PAIR, silent, known=known)
    assert pair.token_s == pytest.approx((2 * 0.01 + 0.034) / (1 + 0.8 + 0.64)), "by its width"
    told = await times(ALONE, silent | {"target": description("target")}, known=known)
    assert told.token_s == pytest.approx(0.01), "what it tells of itself goes before"
    async with fleet_of(silent) as fleet, AsyncExitStack() as stack:
        for _ in range(5):
            stack.enter_context(fleet.of("target")[0].answering())
        busy = ChainTimes(fleet, known, {}).of(ALONE, "", {})
    assert busy.begin_s == pytest.approx(0.7 - 0.1)
    assert busy.token_s == idle.token_s
