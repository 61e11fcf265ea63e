"""Policies through the running router, over scripted tiers that say how fast they are."""

import json
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from tests.router.routers import reply, request
from tests.router.two_tiers import PLANS, asked, graded, over
from tiercel.errors import InvalidRequest
from tiercel.evaluation.ope.decision_records import read_log
from tiercel.routing.policy import Wishes
from tiercel.sessions import Delivery
from tiercel.types import Acceptance, Rule


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


async def test_utility_picks_by_the_weight_and_says_with_which_numbers(stack, tmp_path):
    client = await over(stack, tmp_path, graded())
    cheap = await client.route(asked("utility", cost_weight=1.0))
    best = await client.route(asked("utility", cost_weight=0.01))
    assert (cheap.plan_name, best.plan_name) == ("small", "drafted")
    assert (best.policy, best.propensity, best.forced) == ("utility", 1.0, "")
    assert "quality 0.900 - 0.01 x" in best.reason
    candidates = {one.plan_name: one for one in best.candidates}
    assert candidates.keys() == PLANS.keys()
    assert candidates["large"].predicted_s == pytest.approx(25 * 0.01 + 10 * 0.1)
    assert candidates["small"].predicted_s == pytest.approx(25 * 0.001 + 10 * 0.01)
    assert candidates["drafted"].predicted_s < candidates["large"].predicted_s
    assert candidates["drafted"].predicted_quality == candidates["large"].predicted_quality == 0.9
    assert (candidates["drafted"].quality_bound, candidates["drafted"].probability) == (0.85, 1.0)
    assert best.predictor_digest == "0123abcd"


async def test_what_is_wished_names_the_policy_where_the_caller_does_not(stack, tmp_path):
    client = await over(stack, tmp_path, graded())
    for wishes, policy, plan in (
        ({}, "static", "large"),
        ({"cost_weight": 1.0}, "utility", "small"),
        ({"target_quality": 0.4}, "target", "small"),
        ({"target_quality": 0.8}, "target", "drafted"),
        ({"max_seconds": 0.2}, "budget", "small"),
        ({"max_seconds": 60.0}, "budget", "drafted"),
    ):
        decision = await client.route(asked(**wishes))
        assert (decision.policy, decision.plan_name) == (policy, plan)


async def test_too_little_evidence_surfaces_with_the_fallback(stack, tmp_path):
    client = await over(stack, tmp_path, graded(bound={"small": 0.5}))
    whole = await reply(client, asked(target_quality=0.8))
    decision = whole.decision
    assert decision.insufficient_evidence
    assert (decision.plan_name, decision.propensity) == ("large", 1.0)
    assert "the nearest, small, is at least 0.500" in decision.forced
    assert whole.finished.plan_name == "large"
    assert {one.quality_bound for one in decision.candidates} == {None, 0.5}


async def test_without_a_predictor_a_policy_of_qualities_says_so(stack, tmp_path):
    client = await over(stack, tmp_path)
    decision = await client.route(asked("utility"))
    assert decision.insufficient_evidence
    assert decision.plan_name == "large"
    assert "no quality is predicted of any of 3 plans" in decision.forced
    assert decision.predictor_digest == ""


async def test_what_is_over_budget_is_refused_whatever_the_policy(stack, tmp_path):
    client = await over(stack, tmp_path, graded(), prices="price_per_second = 8.0")
    quick = await client.route(asked("utility", cost_weight=0.0, max_seconds=0.2))
    assert quick.plan_name == "small"
    refused = {one.plan_name: one.refused for one in quick.candidates}
    assert refused["small"] == ""
    assert refused["large"] == "over budget: 1.25 s predicted, at most 0.2"
    cheap = await client.route(asked("utility", cost_weight=0.0, max_cost=1.0))
    assert cheap.plan_name == "small"
    refused = {one.plan_name: one.refused for one in cheap.candidates}
    assert refused["large"] == "over budget: 10 cost predicted, at most 1"
    assert all(one.probability == 0.0 for one in cheap.candidates if one.refused)


async def test_a_budget_that_nothing_keeps_is_no_choice(stack, tmp_path):
    client = await over(stack, tmp_path, graded())
    decision = await client.route(asked(max_seconds=0.001))
    assert decision.plan_name == "small"
    assert decision.forced.startswith("none of the plans that can answer is predicted to keep")


async def test_a_root_that_is_away_and_a_context_that_is_too_short_are_refused(stack, tmp_path):
    client = await over(stack, tmp_path, graded(), away=["large"])
    decision = await client.route(asked("utility", cost_weight=0.0))
    assert decision.plan_name == "small"
    refused = {one.plan_name: one.refused for one in decision.candidates}
    assert refused["large"] == refused["drafted"] == "no replica of large takes work"
    long = await client.route(request(prompt="x" * 1000, policy="utility"))
    refused = {one.plan_name: one.refused for one in long.candidates}
    assert refused["small"] == "a prompt of about 250 tokens, small takes 200"
    assert long.plan_name == "small", "it says so itself; what is away would be waited for"
    assert long.forced == "no plan takes a prompt as long as this"


async def test_exploration_is_drawn_as_often_as_it_says_and_never_from_what_is_refused(
    stack, tmp_path
):
    client = await over(stack, tmp_path, graded(), exploration=0.6, away=())
    count: Counter[str] = Counter()
    for _ in range(200):
        decision = await client.route(asked("utility", cost_weight=0.01, max_seconds=1.0))
        odds = {one.plan_name: one.probability for one in decision.candidates}
        assert odds == pytest.approx({"large": 0.0, "small": 0.3, "drafted": 0.7})
        assert decision.propensity == odds[decision.plan_name]
        count[decision.plan_name] += 1
        assert decision.reason.startswith("explored") == (decision.plan_name == "small")
    # 60 are expected; 5 standard deviations.
    assert abs(count["small"] - 60) < 5 * 6.5
    assert count["large"] == 0


async def test_a_conversation_stays_with_its_plan(stack, tmp_path):
    grader = graded(quality={"large": 0.64, "small": 0.6}, bound={})
    client = await over(stack, tmp_path, grader)
    wish = {"cost_weight": 0.0}
    assert (await client.route(asked("utility", "s", **wish))).plan_name == "drafted"
    first = await reply(client, request(prompt="x", plan="small", session_id="s"))
    assert first.finished.plan_name == "small"
    again = await client.route(asked("utility", "s", **wish))
    assert again.plan_name == "small"
    assert "stays with small: drafted gains 0.040, a switch needs 0.05" in again.reason
    other = await client.route(asked("utility", "other", **wish))
    assert other.plan_name == "drafted"
    grader.quality = {"large": 0.9, "small": 0.6}
    assert (await client.route(asked("utility", "s", **wish))).plan_name == "drafted"
    assert [one.num_turns for one in grader.conversations] == [0, 1, 0, 1]


async def test_a_lossy_rule_of_the_callers_makes_it_another_answer(stack, tmp_path):
    client = await over(stack, tmp_path, graded())
    lossy = request(policy="fastest", acceptance=Acceptance(Rule.LENIENT, 0.5))
    candidates = {one.plan_name: one for one in (await client.route(lossy)).candidates}
    assert candidates["drafted"].predicted_quality is None
    strict = request(policy="fastest", acceptance=Acceptance(Rule.LENIENT, 1.0))
    candidates = {one.plan_name: one for one in (await client.route(strict)).candidates}
    assert candidates["drafted"].predicted_quality == 0.9


@pytest.mark.parametrize(
    ("wishes", "name"),
    [
        ({"cost_weight": -1.0}, "cost_weight"),
        ({"target_quality": 1.0}, "target_quality"),
        ({"max_seconds": 0.0}, "max_seconds"),
        ({"max_cost": float("nan")}, "max_cost"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_named(stack, tmp_path, wishes, name):
    client = await over(stack, tmp_path)
    with pytest.raises(InvalidRequest, match=f"objective.{name}="):
        await client.route(asked(**wishes))
    with pytest.raises(InvalidRequest, match="session_id"):
        await reply(client, asked(session_id="s" * 200))


async def test_decisions_are_logged_with_odds_and_what_came_of_them(stack, tmp_path):
    log = tmp_path / "logs" / "decisions.jsonl"
    async with AsyncExitStack() as inner:
        client = await over(inner, tmp_path, graded(), decision_log=str(log), exploration=0.5)
        secret = "a secret of the caller's"
        whole = await reply(
            client,
            request(prompt=secret, policy="utility", kind="k", wishes=Wishes(cost_weight=0.02)),
        )
        await client.route(request(prompt=secret))
        await reply(client, request(plan="small", prompt=secret, delivery=Delivery.HOLD))
    first, second = [json.loads(line) for line in log.read_text().splitlines()]
    assert secret not in log.read_text()
    assert first["decision_id"] == whole.decision.decision_id
    assert (first["policy"], first["kind"], first["chosen"]) == (
        "utility",
        "k",
        whole.decision.plan_name,
    )
    odds = {one["plan_name"]: one["probability"] for one in first["candidates"]}
    assert sum(odds.values()) == pytest.approx(1.0)
    assert first["propensity"] == odds[first["chosen"]] == whole.decision.propensity
    assert (first["predictor_digest"], first["wishes"]["cost_weight"]) == ("0123abcd", 0.02)
    assert len(first["features_hash"]) == 16
    assert (first["reason"], first["num_completion_tokens"]) == ("length", 12)
    assert first["stages"] == []
    assert (second["chosen"], second["forced"]) == ("small", "the caller named the plan")
    read = read_log([log])
    assert (len(read.decisions), read.num_requested) == (1, 1)
    assert read.decisions[0].propensity == whole.decision.propensity
