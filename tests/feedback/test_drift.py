"""The drift alarm: what sets it off, what does not, and how often it errs."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from services.feedback.drift import Vigilance, streams
from services.feedback.store import Memory
from tests.feedback.calls import get, report
from tests.feedback.conftest import OpenStore, StartService, Stub
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tests.feedback.test_operators import history
from tiercel.learning import LearnedPolicy, Outcome, Rating
from tiercel.rules import RuleUse
from tiercel.types import Acceptance, Plan, Rule
from tiercel.v1 import feedback_pb2 as pb
from tiercel.wire.feedback import rating_to_pb

STAKES = np.array([0.9, 0.45, 0.22, 0.11, 0.05, 0.02])
SETTINGS = {"drift_warm_up": 20, "drift_run_length": 1000.0}


def sums_of(won: np.ndarray, values: np.ndarray, bound: float) -> np.ndarray:
    """The bets after one more value of each of several runs, [run, stake]: an oracle of the Lua."""
    return (1 + won) * (1 + STAKES / bound * (values[:, None] - bound))


def outcomes(rng, mean: float, number: int, **changes) -> list[Outcome]:
    """Answers of which so much is accepted on average, a few points more or less."""
    accepted = np.clip(np.round(100 * mean + rng.normal(0, 5, number)), 0, 100)
    return [outcome(accepted=int(one), rejected=100 - int(one), **changes) for one in accepted]


@pytest.fixture
async def stub(valkey: RedisServer, start_service: StartService) -> Stub:
    return await start_service(valkey.url, half_life_s=1e9, min_judged_tokens=50, **SETTINGS)


async def frozen(stub: Stub) -> LearnedPolicy:
    async with asyncio.timeout(120):
        while not (policy := await get(stub)).frozen:
            await asyncio.sleep(0.05)
    return policy


def mean_run_length(bound: float, mean: float, threshold: float) -> float:
    """How long it takes to an alarm, on average over many runs; those without one are cut off."""
    rng, runs, longest = np.random.default_rng(5), 400, 3000
    won, alarm = np.zeros((runs, len(STAKES))), np.full(runs, longest)
    for number in range(1, longest):
        won = sums_of(won, (rng.random(runs) < mean).astype(float), bound)
        alarm[(won.mean(axis=1) >= threshold) & (alarm == longest)] = number
    return float(alarm.mean())


def test_false_alarms_come_no_sooner_than_promised():
    """At the very edge of what is no drift: the mean is as high as it may be; then it is higher."""
    assert mean_run_length(0.6, 0.6, 200.0) >= 200
    assert mean_run_length(0.6, 0.7, 200.0) < 100


def test_a_drift_is_seen_soon():
    rng, runs = np.random.default_rng(5), 100
    won, alarm = np.zeros((runs, len(STAKES))), np.full(runs, np.inf)
    for number in range(1, 500):
        won = sums_of(won, (rng.random(runs) < 0.8).astype(float), 0.5)
        alarm[(won.mean(axis=1) >= 2e6) & np.isinf(alarm)] = number
    assert np.median(alarm) < 120 and alarm.max() < 300


async def test_the_store_bets_as_it_should(redis: RedisServer, open_store: OpenStore):
    vigilance = Vigilance(run_length=1e6, tolerance=0.5, warm_up=20)
    store = open_store(redis.url, Memory(half_life_s=1e9, vigilance=vigilance))
    rng = np.random.default_rng(2)
    first, then = outcomes(rng, 0.6, 20), outcomes(rng, 0.75, 12)
    await store.apply(first + then)
    found = await store.read()
    assert found is not None
    [sums] = [sums for cell, sums in found.cells.items() if cell.subject[0] == "drift"]
    rates = np.array([one.usage.pairs[0].num_accepted_tokens / 100 for one in first + then])
    mean, tolerance = rates[:20].mean(), max(0.02, 0.5 * rates[:20].std())
    up = down = np.zeros((1, len(STAKES)))
    for value in rates[20:]:
        up = sums_of(up, np.array([value]), mean + tolerance)
        down = sums_of(down, np.array([1 - value]), 1 - mean + tolerance)
    assert [sums[f"up{i}"] for i in range(1, 7)] == pytest.approx(list(up[0]))
    assert [sums[f"down{i}"] for i in range(1, 7)] == pytest.approx(list(down[0]))
    assert (sums["first"], sums["watched"]) == (20, 12)


@pytest.mark.parametrize("then", [0.75, 0.35])
async def test_drift_freezes_learning_and_thawing_begins_anew(stub: Stub, then: float):
    rng = np.random.default_rng(1)
    await report(stub, *outcomes(rng, 0.55, 40, kind="maths"))
    assert not (await get(stub)).frozen
    await report(stub, *outcomes(rng, then, 100, kind="maths"))
    policy = await frozen(stub)
    assert "drift of acceptance of draft target, requests of kind maths" in policy.frozen_reason
    [change] = await history(stub)
    assert (change.author, change.action) == ("a guardrail", "frozen")
    assert policy.frozen_reason in change.reason
    judged = [pair.num_judged_tokens for pair in policy.pairs]
    await report(stub, *outcomes(rng, then, 3, kind="maths"))
    assert [pair.num_judged_tokens for pair in (await get(stub)).pairs] == judged
    # From now on it is as it is: the same values are no drift any more.
    await stub.Freeze(pb.FreezeRequest(frozen=False, reason="the model was changed on purpose"))
    await report(stub, *outcomes(rng, then, 60, kind="maths"))
    policy = await get(stub)
    assert not policy.frozen and policy.pairs[0].num_judged_tokens > judged[0]


async def test_neither_another_mix_of_kinds_nor_what_learning_itself_moves_is_drift(stub: Stub):
    rng = np.random.default_rng(1)
    for share in (0.9, 0.5, 0.1):
        maths, stories = round(100 * share), round(100 * (1 - share))
        await report(stub, *outcomes(rng, 0.9, maths, kind="maths"))
        await report(stub, *outcomes(rng, 0.4, stories, kind="stories"))
    # A confidence that is learned, and a strictness that is led, change how much is accepted.
    for confidence, mean in ((0.0, 0.5), (0.4, 0.8)):
        plan = Plan("target", drafters=(Plan("draft", draft_confidence=confidence),))
        moved = outcomes(rng, mean, 60, kind="code")
        await report(stub, *(replace(one, plan=plan) for one in moved))
    for strictness, divergence in ((0.9, 0.01), (0.6, 0.2)):
        use = RuleUse(Rule.LENIENT, strictness, 1000, round(1000 * divergence))
        await report(stub, *(replace(outcome(kind="led"), rule_use=use) for _ in range(60)))
    assert not (await get(stub)).frozen


async def test_ratings_are_watched(stub: Stub):
    async def rated(name: str, number: int, score: float) -> None:
        answers = [
            replace(outcome(kind="maths"), decision_id=f"{name}-{i}", plan=Plan("target"))
            for i in range(number)
        ]
        await report(stub, *answers)
        ratings = (Rating(f"r-{name}-{i}", f"{name}-{i}", score, f"{i}") for i in range(number))
        await asyncio.gather(*(stub.Rate(rating_to_pb(one)) for one in ratings))

    await rated("good", 30, 0.9)
    await rated("bad", 40, 0.3)
    assert "drift of quality of target" in (await frozen(stub)).frozen_reason


async def test_it_can_be_turned_off(valkey: RedisServer, start_service: StartService):
    stub = await start_service(valkey.url, **SETTINGS | {"drift_run_length": 0.0})
    rng = np.random.default_rng(1)
    await report(stub, *outcomes(rng, 0.9, 40), *outcomes(rng, 0.2, 100))
    assert not (await get(stub)).frozen


def test_what_failed_is_not_watched_and_streams_know_what_moves_them():
    assert list(streams(replace(outcome(), failure="Unavailable"))) == []
    root = Plan("target", drafters=(Plan("draft"),), acceptance=Acceptance(Rule.LENIENT, 0.62))
    [(cell, value)] = streams(replace(outcome(kind="k"), plan=root))
    assert cell.subject == ("drift", "acceptance", "draft", "target", "lenient 0.60 from 0.0")
    assert (cell.kind, value) == ("k", 0.9)
