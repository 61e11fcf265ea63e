"""Ratings and budgets change what the router does: beside the real feedback service."""

import asyncio
import json
import tempfile
from contextlib import AsyncExitStack

import pytest

from services.router import metrics
from services.router.forecasts.forecasting import Planned
from services.router.policies import Wrapping, all_policies
from tests.addresses import free_address
from tests.router.routers import reply, request
from tests.router.test_learned import feedback_at
from tests.router.two_tiers import asked, graded, over
from tests.routing.situations import situation
from tiercel.clients.feedback import FeedbackClient
from tiercel.learning import LearnedPolicy, Rating
from tiercel.plan_text import parse_plan
from tiercel.replies import Candidate
from tiercel.routing.policy import Forecast
from tiercel.routing.registry import PolicySettings


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


async def beside_feedback(stack: AsyncExitStack, tmp_path, grader=None, *, budget=None, **router):
    """A router over a large and a small tier, and a client of the feedback service beside it."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tr-"))
    address = free_address()
    await feedback_at(stack, address, folder, half_life_s=1e9, **(budget or {}))
    learner = FeedbackClient(address)
    stack.push_async_callback(learner.close)
    client = await over(stack, tmp_path, grader, feedback=address, **router)
    return client, learner


async def rate(client, learner, plan: str, score: float, number: int, kind: str = "") -> None:
    """Have answers of a plan, and rate each as soon as its outcome may still be on its way."""
    for place in range(number):
        answered = await reply(client, request(policy="static", kind=kind))
        assert answered.decision.plan_name == plan
        decision = answered.finished.decision_id
        await learner.rate(Rating(f"{plan}{kind}{place}", decision, score, f"rater {place}"))


async def candidates(client, kind: str = "") -> dict[str, Candidate]:
    decision = await client.route(request(policy="utility", kind=kind))
    return {one.plan_name: one for one in decision.candidates}


async def logged(log, client, asked) -> dict:
    """Have an answer, and return what the log of decisions says of it."""
    decision_id = (await reply(client, asked)).finished.decision_id

    def lines() -> list[dict]:
        whole = log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if decision_id in line]

    async def is_there() -> bool:
        return bool(lines())

    await until(is_there)
    return lines()[0]


async def until(holds) -> None:
    """Wait until `await holds()` is true."""
    async with asyncio.timeout(90):
        while not await holds():
            await asyncio.sleep(0.05)


async def test_ratings_correct_the_predictor_for_their_root_and_no_other(stack, tmp_path):
    log = tmp_path / "log.jsonl"
    client, learner = await beside_feedback(stack, tmp_path, graded(), decision_log=str(log))
    assert (await client.route(asked("utility"))).plan_name == "drafted"
    await rate(client, learner, "large", 0.0, 12)
    # 20 ratings' worth of a prediction of 0.9, and 12 ratings of 0.
    expected = 20 * 0.9 / 32

    async def is_learned() -> bool:
        found = (await candidates(client))["large"].predicted_quality
        return found == pytest.approx(expected, abs=1e-3)

    await until(is_learned)
    now = await candidates(client)
    assert now["drafted"].predicted_quality == now["large"].predicted_quality, "it is one answer"
    assert now["large"].quality_bound < 0.85
    assert (now["small"].predicted_quality, now["small"].quality_bound) == (0.6, 0.5)
    assert (await client.route(asked("utility"))).plan_name == "small"
    [told] = (await learner.policy()).qualities
    assert (told.root, told.num_predicted) == ("large", pytest.approx(12, rel=1e-3))
    assert told.excess == pytest.approx(-0.9), "held against the predictor, not against this"
    line = await logged(log, client, asked("utility"))
    worth = {one["plan_name"]: one["num_ratings"] for one in line["candidates"]}
    assert worth == {
        "large": pytest.approx(32, rel=1e-3),
        "drafted": pytest.approx(32, rel=1e-3),
        "small": 20.0,
    }
    assert line["budget_weight"] is None, "there is none"


async def test_without_a_predictor_ratings_are_the_qualities(stack, tmp_path):
    client, learner = await beside_feedback(stack, tmp_path)
    blind = await client.route(asked("thompson"))
    assert (blind.plan_name, blind.insufficient_evidence) == ("large", True)
    await rate(client, learner, "large", 1.0, 4, kind="maths")

    async def is_learned() -> bool:
        found = (await candidates(client, "maths"))["large"].predicted_quality
        return found == pytest.approx((4 + 4 * 0.75) / 8, abs=1e-3)

    await until(is_learned)
    elsewhere = await candidates(client, "stories")
    assert elsewhere["large"].predicted_quality == pytest.approx(0.75, abs=1e-3), "of all kinds"
    assert elsewhere["small"].predicted_quality is None
    decision = await client.route(request(policy="thompson", kind="maths"))
    assert not decision.insufficient_evidence
    odds = {one.plan_name: one.probability for one in decision.candidates}
    assert odds["large"] == 0.0, "the drafted plan gives the same answer, sooner"
    assert odds["drafted"] > odds["small"] > 0.05, "the small one was never rated, and is tried"
    assert sum(odds.values()) == pytest.approx(1.0)


async def test_a_budget_is_kept_by_weighing_cost_unless_somebody_says_otherwise(stack, tmp_path):
    budget = {"target_mean_cost": 0.5, "pacing_answers": 1, "pacing_gain": 0.5}
    budget |= {"pacing_max_step": 0.5}
    log = tmp_path / "log.jsonl"
    client, learner = await beside_feedback(
        stack,
        tmp_path,
        graded(),
        budget=budget,
        prices="price_per_second = 8.0",
        compute_ns=250_000_000,
        policy="utility",
        decision_log=str(log),
    )
    free = await client.route(asked())
    assert (free.policy, free.plan_name) == ("utility", "drafted")
    await reply(client, asked())

    async def is_learned() -> bool:
        return (await client.route(asked())).plan_name == "small"

    await until(is_learned)
    policy: LearnedPolicy = await learner.policy()
    assert policy.pacing is not None
    assert policy.pacing.mean_cost == pytest.approx(8.0 * 0.25), "seconds of work times the price"
    assert policy.cost_weight == pytest.approx(0.5 / 0.5)
    paced = await client.route(asked())
    assert paced.reason.startswith("cost for seconds, to keep the budget: ")
    assert metrics.cost_weight._value.get() == pytest.approx(1.0)
    assert (await logged(log, client, asked()))["budget_weight"] == pytest.approx(1.0)
    assert (await client.route(asked(cost_weight=0.0))).plan_name == "drafted"


def test_a_lossy_answer_goes_by_ratings_of_its_own_unless_its_rule_is_certified():
    lossy = parse_plan("large{lenient=0.7} <- small").plan()
    assert Planned.of(lossy).rated_as == "large{lenient}"
    certified = Planned.of(lossy, is_certified=True)
    assert certified.rated_as == certified.answer == "large"


@pytest.mark.parametrize("policy", ["utility", "cascade", "thompson"])
def test_the_operators_own_weight_of_seconds_goes_before_the_budget(policy: str):
    """Dear and quick against cheap and slow, both surely of one quality."""
    quick = Forecast("quick", 1.0, 0.7, cost=10.0, num_ratings=1e6)
    cheap = Forecast("cheap", 4.0, 0.7, cost=1.0, num_ratings=1e6)
    for weight, plan in ((0.0, "cheap"), (0.01, "quick")):
        made = all_policies(PolicySettings(cost_weight=weight), Wrapping(), default=policy)[policy]
        odds = made.weigh(situation(quick, cheap, budget_weight=0.1))
        assert odds.probabilities[plan] == pytest.approx(1.0)
