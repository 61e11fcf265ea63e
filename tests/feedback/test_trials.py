"""Trials of policies through the real service: what is compared, and what is rolled back."""

import asyncio
from dataclasses import replace

import pytest

from services.feedback.cells import Cell, Snapshot
from services.feedback.drift import Vigilance, alarms
from services.feedback.estimates import Estimator
from services.feedback.store import Memory
from tests.feedback.calls import get, report, until_version, watch
from tests.feedback.conftest import OpenStore, StartService, Stub
from tests.feedback.servers import RedisServer
from tests.feedback.trials import INCUMBENT, POLICY, both, compared, shadow, the_trial, tried
from tiercel import rpc
from tiercel.errors import InvalidRequest
from tiercel.learning import Rating, Trial
from tiercel.types import FinishReason
from tiercel.v1 import feedback_pb2 as pb
from tiercel.wire.feedback import rating_to_pb


@pytest.fixture
async def stub(valkey: RedisServer, start_service: StartService) -> Stub:
    return await start_service(valkey.url, half_life_s=1e9)


async def rolled_back(stub: Stub) -> Trial:
    """The trial once a guardrail has ended it, so that any replica says the same."""
    async with asyncio.timeout(120):
        while not [one for one in await history(stub) if one.action == "trial"]:
            await asyncio.sleep(0.05)
    return the_trial(await get(stub))


async def history(stub: Stub) -> list[pb.Change]:
    return list((await stub.GetHistory(pb.GetHistoryRequest())).changes)


async def test_arms_are_counted_and_a_policy_that_is_no_worse_goes_on(stub: Stub):
    await report(stub, *both(60, cost=2.0), *both(60, cost=2.0))
    trial = the_trial(await get(stub))
    assert (trial.num_requests, trial.num_incumbent, trial.share) == (120, 120, 0.5)
    assert not trial.rolled_back and trial.reason == ""
    assert compared(trial, "failure").trial == compared(trial, "failure").incumbent == 0.0
    cost = compared(trial, "cost")
    assert (cost.trial, cost.incumbent) == pytest.approx((1.0, 1.0))
    late = compared(trial, "latency")
    assert (late.trial, late.incumbent) == (0.0, 0.0)
    assert all(one.excess <= 0.0 for one in trial.comparisons)


@pytest.mark.parametrize(
    ("worse", "respect"),
    [
        ({"failure": "Unavailable"}, "failure"),
        ({"reason": FinishReason.DEADLINE}, "failure"),
        ({"total_s": 2.0}, "latency"),
        ({"cost": 4.0}, "cost"),
    ],
)
async def test_what_is_worse_is_rolled_back_and_told(stub: Stub, worse: dict, respect: str):
    """One of two answers is worse on trial, or all are as late or dear."""
    before = await get(stub)
    policies = watch(stub, before)
    await report(stub, *both(60, cost=2.0))
    every = 2 if respect == "failure" else 1
    for _ in range(5):
        bad = [tried(**({"cost": 2.0} | (worse if i % every == 0 else {}))) for i in range(60)]
        good = [tried(is_tried=False, cost=2.0) for _ in range(60)]
        await report(stub, *(one for pair in zip(bad, good, strict=True) for one in pair))
    trial = await rolled_back(stub)
    assert trial.rolled_back and trial.reason.startswith(f"{respect} is worse")
    assert compared(trial, respect).excess > compared(trial, respect).allowed
    [ended] = [one for one in await history(stub) if one.action == "trial"]
    assert ended.author == "a guardrail" and trial.reason in ended.reason
    told = await until_version(policies, ended.version)
    assert the_trial(told).rolled_back


async def test_low_ratings_roll_a_policy_back(stub: Stub):
    for low in (0.9, 0.2):
        outcomes = both(60)
        await report(stub, *outcomes)
        scores = [low if one.trial and one.trial.tried else 0.9 for one in outcomes]
        ratings = [
            Rating(f"r-{one.event_id}", one.decision_id, score, one.event_id)
            for one, score in zip(outcomes, scores, strict=True)
        ]
        await asyncio.gather(*(stub.Rate(rating_to_pb(rating)) for rating in ratings))
    trial = await rolled_back(stub)
    assert trial.reason.startswith("quality is worse")
    quality = compared(trial, "quality")
    assert quality.trial > quality.incumbent + 0.4


async def test_a_policy_stays_rolled_back_until_trials_are_reset(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url)
    await stub.Freeze(pb.FreezeRequest(frozen=False, reason="keep this"))
    await report(stub, *both(10), *(tried(fault="ValueError") for _ in range(60)))
    reason = (await rolled_back(stub)).reason
    await report(stub, *both(100))
    await stub.Rollback(pb.RollbackRequest(version=0, reason="as it was"))
    other = await start_service(valkey.url)
    for one in (stub, other):
        trial = the_trial(await get(one))
        assert trial.rolled_back and trial.reason == reason
    await other.Reset(pb.ResetRequest(what="qualities"))
    assert the_trial(await get(other)).rolled_back
    await other.Reset(pb.ResetRequest(what="trials", reason="it is repaired"))
    assert (await get(stub)).trials == ()
    await report(stub, *both(3))
    trial = the_trial(await get(stub))
    assert (trial.num_requests, trial.rolled_back) == (3, False)


async def test_of_a_conversation_the_first_request_counts(stub: Stub):
    turns = [tried(session_id="s", failure="Unavailable") for _ in range(60)]
    await report(stub, *turns)
    trial = the_trial(await get(stub))
    assert (trial.num_requests, trial.rolled_back) == (1, False)
    await report(stub, *turns)
    assert the_trial(await get(stub)).num_requests == 1


async def test_ratings_before_and_after_the_outcome_count_once_for_the_arm(
    redis: RedisServer, open_store: OpenStore
):
    store = open_store(redis.url, Memory(half_life_s=1e9, rating_half_life_s=1e9))
    first, second = tried(), tried(is_tried=False)
    await store.rate(Rating("r1", first.decision_id, 1.0, "early"))
    await store.rate(Rating("r2", first.decision_id, 1.0, "another"))
    await store.apply([first, second])
    for rater in ("late", "later"):
        await store.rate(Rating(f"{rater} 1", first.decision_id, 0.5, rater))
        await store.rate(Rating(f"{rater} 2", second.decision_id, 0.5, rater))
    found = await store.read()
    assert found is not None
    arms = {cell.subject[4]: sums for cell, sums in found.cells.items() if len(cell.subject) == 5}
    assert (arms["tried"]["rated"], arms["tried"]["score"]) == (1, 1.0)
    assert (arms["incumbent"]["rated"], arms["incumbent"]["score"]) == (1, 0.5)
    assert found.cells[Cell.of_quality("target", "")]["ratings"] == pytest.approx(6)


async def test_what_failed_teaches_nothing_else(stub: Stub):
    await report(stub, replace(tried(), usage=both(1)[0].usage, failure="Unavailable"))
    policy = await get(stub)
    assert (policy.pairs, policy.tiers, policy.qualities) == ((), (), ())
    assert the_trial(policy).num_requests == 1


async def test_decisions_in_the_shadow_are_summed_up(stub: Stub):
    await report(stub, shadow(1.0, 0.5), shadow(0.5, -0.1), shadow(0.0))
    trial = the_trial(await get(stub))
    assert (trial.share, trial.comparisons, trial.rolled_back) == (0.0, (), False)
    assert trial.shadow is not None
    assert (trial.shadow.num_requests, trial.shadow.num_gains) == (3, 2)
    assert (trial.shadow.agreement, trial.shadow.utility_gain) == pytest.approx((0.5, 0.2))


async def test_a_share_of_all_or_nothing_compares_nothing_and_is_refused(stub: Stub):
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(InvalidRequest, match="trial"), rpc.translated():
            await report(stub, tried(share=share))


def test_a_trial_that_is_over_is_told_without_any_sums():
    snapshot = Snapshot("e", 1, {}, ended={(POLICY, INCUMBENT): "why"})
    trial = the_trial(Estimator().policy(snapshot))
    assert (trial.rolled_back, trial.reason, trial.comparisons) == (True, "why", ())


def test_what_an_import_may_hold_besides_ends_nothing():
    odd = [("trial",), ("trial", POLICY, INCUMBENT, "2", "tried"), ("drift", "acceptance")]
    odd += [("trial", POLICY, INCUMBENT, "half", "tried")]
    sound = ("trial", POLICY, INCUMBENT, "0.5", "tried")
    sums = {"units": 1.0, "failed": 9.0, "c999": 5.0, "q-999": 5.0, "watched": 1.0}
    snapshot = Snapshot("e", 1, {Cell(subject): sums for subject in [*odd, sound]})
    trial = the_trial(Estimator().policy(snapshot))
    assert [one.respect for one in trial.comparisons] == ["failure"]
    assert alarms(snapshot, Vigilance()) == []
