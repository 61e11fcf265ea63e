"""Budgets, on real servers: the weight of cost goes to where answers cost what they are to cost."""

import asyncio
import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from services.feedback.__main__ import opening
from services.feedback.cells import Cell
from services.feedback.settings import Settings
from services.feedback.store import Memory, Store
from tests.feedback.calls import get, report
from tests.feedback.conftest import OpenStore, StartService, Stub
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tests.feedback.test_operators import exported, imported
from tiercel import config, rpc
from tiercel.cli.__main__ import app
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import InvalidRequest
from tiercel.learning import LearnedPolicy, Outcome
from tiercel.routing.pacing import Pacing
from tiercel.v1 import feedback_pb2 as pb
from tiercel.wire.feedback import outcome_from_pb, outcome_to_pb
from tiercel.wire.learned import policy_from_pb, policy_to_pb

TARGET = 2.0
PACING = Pacing(TARGET, gain=0.2, max_step=0.1, min_answers=4)
SETTINGS = {
    "target_mean_cost": TARGET,
    "pacing_gain": PACING.gain,
    "pacing_max_step": PACING.max_step,
    "pacing_answers": PACING.min_answers,
    "half_life_s": 1e9,
}
# Quality and cost of two roots; without a budget the dear one is always taken.
QUALITY, COST = np.array([0.5, 0.8]), np.array([1.0, 5.0])


def costing(cost: float | None, **changes: str) -> Outcome:
    return replace(outcome(), cost=cost, **changes)


@pytest.fixture
async def stub(valkey: RedisServer, start_service: StartService) -> Stub:
    return await start_service(valkey.url, **SETTINGS)


async def weight(stub: Stub) -> float:
    found = (await get(stub)).cost_weight
    assert found is not None
    return found


async def spent(stub: Stub, num_batches: int, sign: float = 1.0) -> list[float]:
    """Answer as a router does, by the weight that it is told; return what each answer cost."""
    rng, costs = np.random.default_rng(5), []
    for _ in range(num_batches):
        now = sign * await weight(stub)
        chosen = [
            float(COST[int(np.argmax(QUALITY + rng.normal(0, 0.1, 2) - now * COST))])
            for _ in range(PACING.min_answers)
        ]
        await report(stub, *map(costing, chosen))
        costs += chosen
    return costs


async def test_answers_come_to_cost_what_they_are_to_cost(stub: Stub):
    costs = await spent(stub, 80)
    assert np.mean(costs[:4]) > 4.0, "it begins without a weight"
    assert np.mean(costs[80:]) == pytest.approx(TARGET, rel=0.15)
    policy = await get(stub)
    assert policy.pacing is not None
    assert policy.pacing.mean_cost == pytest.approx(np.mean(costs))
    assert (policy.pacing.target_mean_cost, policy.pacing.num_steps) == (TARGET, 80)
    assert policy.pacing.num_answers == pytest.approx(320)


async def test_a_router_that_takes_the_weight_for_a_reward_overspends(stub: Stub):
    assert np.mean((await spent(stub, 20, sign=-1.0))[40:]) > 1.5 * TARGET


async def test_the_store_makes_the_steps_of_the_formula(stub: Stub):
    pressure = 0.0
    assert await weight(stub) == 0.0
    for costs in ([9.0] * 4, [2.0, 3.0, 2.5, 4.5], [2.0] * 4, [0.0, 1.0, 0.5, 0.5], [0.0] * 4):
        await report(stub, *map(costing, costs))
        pressure = PACING.stepped(pressure, float(np.mean(costs)))
        assert await weight(stub) == pytest.approx(PACING.cost_weight(pressure), abs=1e-12)
    assert pressure == 0.0, "there is no weight below 0"
    await report(stub, *(costing(1e9) for _ in range(4)))
    assert await weight(stub) == pytest.approx(PACING.max_step / TARGET), "a step has a size"


async def test_an_answer_counts_once_in_any_order_and_only_with_a_cost(
    valkey: RedisServer, start_service: StartService
):
    answers = [costing(cost, event_id=f"e{cost}") for cost in (3.0, 7.0, 1.0, 9.0)]
    weights = []
    for name, events in (("a", answers), ("b", [*answers[::-1], *answers, costing(None)] * 2)):
        first = await start_service(valkey.url, namespace=name, **SETTINGS)
        second = await start_service(valkey.url, namespace=name, **SETTINGS)
        for number, event in enumerate(events):
            await report((first, second)[number % 2], event)
        weights.append(await weight(second))
    assert weights[0] == weights[1] == pytest.approx(PACING.stepped(0.0, 5.0) / TARGET)


async def test_it_is_frozen_reset_and_carried_over_like_all_that_is_learned(stub: Stub):
    dear = [costing(6.0) for _ in range(4)]
    await report(stub, *dear)
    led = await weight(stub)
    assert led > 0
    await stub.Freeze(pb.FreezeRequest(frozen=True))
    await report(stub, *(costing(6.0) for _ in range(4)))
    assert await weight(stub) == led
    await stub.Freeze(pb.FreezeRequest(frozen=False))
    kept = await exported(stub)
    await stub.Reset(pb.ResetRequest(what="budget"))
    forgotten = await get(stub)
    assert (forgotten.cost_weight, forgotten.pacing.num_answers) == (0.0, 0.0)
    assert forgotten.tiers == (await get(stub)).tiers
    await imported(stub, [kept])
    assert await weight(stub) == led


async def test_without_a_budget_there_is_no_weight(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url, half_life_s=1e9)
    await report(stub, *(costing(6.0) for _ in range(40)))
    policy = await get(stub)
    assert (policy.cost_weight, policy.pacing) == (None, None)


async def test_a_budget_is_not_forgotten_for_want_of_room(
    valkey: RedisServer, open_store: OpenStore
):
    store: Store = open_store(valkey.url, Memory(max_cells=1, half_life_s=0.001), pacing=PACING)
    await store.apply([costing(6.0) for _ in range(4)])
    await store.apply([costing(6.0, kind=f"k{number}") for number in range(3)])
    snapshot = await store.read()
    assert snapshot is not None
    assert snapshot.cells[Cell.of_pacing()]["pressure"] == pytest.approx(0.1)


@pytest.mark.parametrize("cost", [-1.0, math.nan, math.inf, 2e9])
def test_a_cost_that_no_answer_has_is_refused(cost: float):
    with pytest.raises(InvalidRequest) as refused:
        outcome_from_pb(outcome_to_pb(costing(cost)))
    assert refused.value.field == "cost"


def test_costs_and_weights_are_told_as_they_are():
    told = replace(costing(0.0), predicted_quality=0.0)
    assert outcome_from_pb(outcome_to_pb(told)) == told
    assert outcome_from_pb(outcome_to_pb(costing(None))).cost is None
    with pytest.raises(InvalidRequest, match="predicted_quality"):
        outcome_from_pb(outcome_to_pb(replace(told, predicted_quality=1.5)))
    with pytest.raises(InvalidRequest, match="cost_weight"):
        policy_from_pb(policy_to_pb(LearnedPolicy("e", 1, cost_weight=-1.0)))


@pytest.mark.parametrize("target", ["0", "-1", "nan", "inf"])
def test_a_budget_of_nothing_is_refused(target: str):
    with pytest.raises(SystemExit):
        config.load(Settings, ["--target-mean-cost", target])


async def test_a_budget_is_shown_and_reset_by_the_command_line(valkey: RedisServer):
    settings = Settings(redis_url=SecretStr(valkey.url), **SETTINGS)
    async with rpc.server(opening(settings), "localhost:0") as port:
        address = f"localhost:{port}"
        client = FeedbackClient(address)
        await client.report([costing(6.0) for _ in range(4)])
        await client.close()
        shown = await tiercel_feedback(address, "show")
        assert "answers are to cost 2 on average, and do 6 over 4 of late" in shown
        assert "a unit of cost is worth 0.05 of quality after 1 steps" in shown
        await tiercel_feedback(address, "reset", "budget")
        assert "worth 0 of quality after 0 steps" in await tiercel_feedback(address, "show")


async def tiercel_feedback(address: str, *words: str) -> str:
    arguments = ("feedback", *words, "--feedback", address)
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())
