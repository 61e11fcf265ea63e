"""Larger plans that die, refuse, are silent or late: the answer goes on with what there is."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from services.router.cascade.leg import Leg, with_usage_of
from services.router.learning.outcomes import OutcomeReporter
from tests.router.escalations import END, ScriptedStopper, answered, asked_of, escalating
from tests.router.routers import eventually
from tests.router.scripted_tier import FINGERPRINT, Script, answer, serving
from tiercel.clients.router import RouterClient
from tiercel.errors import DeadlineExceeded, Unavailable
from tiercel.learning import Outcome
from tiercel.sessions import Delivery, SessionEnd
from tiercel.types import FinishReason, PairStats, TierStats, Usage
from tiercel.v1 import decoding_pb2

HOLD, REVISE = Delivery.HOLD, Delivery.REVISE
DELIVERIES = pytest.mark.parametrize("delivery", [HOLD, REVISE], ids=["hold", "revise"])
SMALL, LARGE = answer(5, 12), answer(6, 12)


def small(**fields) -> Script:
    return Script("small", numerics_id="small", **fields)


def large(**fields) -> Script:
    return Script("large", numerics_id="large", shift=1, **fields)


@asynccontextmanager
async def cascade(folder, *scripts: Script, stopper: ScriptedStopper | None = None, **settings):
    stopper = stopper or ScriptedStopper({("small", 8): "large"})
    options = {"max_outage_s": 0.2} | settings
    async with AsyncExitStack() as stack:
        addresses: dict[str, list[str]] = {}
        for script in scripts:
            address = await stack.enter_async_context(serving(script))
            addresses.setdefault(script.tier, []).append(address)
        yield await stack.enter_async_context(escalating(folder, addresses, stopper, **options))


def wanted(delivery: Delivery):
    return asked_of(delivery=delivery)


@DELIVERIES
async def test_what_was_said_is_handed_over(tmp_path, delivery) -> None:
    first, second = small(), large()
    async with cascade(tmp_path, first, second) as client:
        got = await answered(client, wanted(delivery))
        assert (got.token_ids, got.text) == (LARGE, "".join(f"{token} " for token in LARGE))
        [opening] = second.opens
        prefix = opening.draft_prefix
        number = len(prefix.ids.token_ids)
        assert (prefix.tier, prefix.ids.tokenizer_fingerprint) == ("small", FINGERPRINT)
        assert 8 <= number <= 12
        assert list(prefix.ids.token_ids) == SMALL[:number]
        assert prefix.text == "".join(f"{token} " for token in SMALL[:number])
        assert not opening.committed_token_ids
        # Nobody overrules the largest: it need not say how sure it is.
        assert (first.opens[0].evidence, opening.evidence) == (True, False)
        await eventually(lambda: first.num_sessions == 0)


async def test_feedback_learns_nothing_of_drafting_from_what_was_judged(tmp_path, monkeypatch):
    outcomes: list[Outcome] = []
    monkeypatch.setattr(OutcomeReporter, "put", lambda _, outcome: outcomes.append(outcome))
    rows = [
        decoding_pb2.PairStats(drafter=name, verifier="large", num_draft_tokens=9)
        for name in ("small", "other")
    ]
    async with cascade(tmp_path, small(), large(pairs=rows)) as client:
        got = await answered(client, wanted(REVISE))
        assert {one.drafter for one in got.finished.usage.pairs} == {"small", "other"}
        [outcome] = outcomes
        assert [one.drafter for one in outcome.usage.pairs] == ["other"]
        assert (outcome.plan_name, outcome.plan.tier) == ("small", "large")
        assert outcome.stages == got.finished.stages


async def test_nothing_is_held_for_an_answer_that_was_never_complete(tmp_path) -> None:
    stopper = ScriptedStopper({("small", 8): "large"}, recalls=True)
    second = large()
    async with cascade(tmp_path, small(), second, stopper=stopper) as client:
        got = await answered(client, wanted(HOLD))
        assert (got.token_ids, len(got.finished.stages)) == (LARGE, 1)
        assert not second.opens[0].evidence


@DELIVERIES
@pytest.mark.parametrize("fault", ["full", "unavailable", "fault"])
async def test_a_larger_plan_that_never_says_a_word(tmp_path, delivery, fault) -> None:
    async with cascade(tmp_path, small(), large(fault=fault, good_tokens=0)) as client:
        got = await answered(client, wanted(delivery))
        assert (got.token_ids, got.finished.plan_name) == (SMALL, "small")
        assert not got.revisions
        assert got.finished.exact
        assert got.changes == [("small", "large"), ("large", "small")]
        assert "large failed" in got.finished.stages[1].forced


async def test_patience_is_short_before_the_larger_plan_has_said_a_word(tmp_path) -> None:
    mute = large(fault="unavailable", good_tokens=0)
    patience = {"max_outage_s": 600.0, "first_outage_s": 0.2}
    async with cascade(tmp_path, small(), mute, **patience) as client:
        got = await answered(client, wanted(REVISE))
        assert (got.token_ids, got.finished.plan_name) == (SMALL, "small")


async def test_a_larger_plan_that_dies_for_good_after_a_revision(tmp_path) -> None:
    dying = large(fault="fault", good_tokens=4)
    async with cascade(tmp_path, small(), dying) as client:
        got = await answered(client, wanted(REVISE))
        assert (got.token_ids, got.finished.plan_name) == (SMALL, "small")
        # Once to the larger tier's tokens, and back.
        assert [one.from_position for one in got.revisions] == [0, 0]
        assert got.revisions[1].decision.forced


async def test_what_was_sent_of_a_larger_plan_after_holding_stands(tmp_path) -> None:
    """So if that dies for good there is no answer, and the client is told."""
    async with cascade(tmp_path, small(), large(fault="fault", good_tokens=4)) as client:
        with pytest.raises(Exception, match="NaN"):
            await answered(client, wanted(HOLD))


@DELIVERIES
async def test_a_lost_replica_of_the_larger_tier_is_replaced(tmp_path, delivery) -> None:
    bad, good = large(fault="unavailable"), large()
    async with cascade(tmp_path, small(), bad, good, max_outage_s=30.0) as client:
        while not bad.opens:  # which replica is first is drawn
            got = await answered(client, wanted(delivery))
            assert (got.token_ids, got.finished.exact) == (LARGE, True)
        assert got.finished.num_failovers == 1
        resumed = good.opens[-1]
        assert list(resumed.committed_token_ids) == LARGE[:3]
        assert resumed.draft_prefix.tier == "small"


@DELIVERIES
async def test_a_lost_replica_of_the_smaller_tier_changes_nothing(tmp_path, delivery) -> None:
    bad, good = small(fault="unavailable"), small()
    stopper = ScriptedStopper({("small", 8): "large"})
    scripts = (bad, good, large())
    async with cascade(tmp_path, *scripts, stopper=stopper, max_outage_s=30.0) as client:
        while not bad.opens:
            stopper.states.clear()
            got = await answered(client, wanted(delivery))
            assert got.token_ids == LARGE
        assert [len(state.evidence) for state in stopper.states] == [8]


@DELIVERIES
async def test_when_the_larger_plan_is_out_of_time_the_small_answer_stands(tmp_path, delivery):
    stuck = large(fault="silent", good_tokens=0)
    stopper = ScriptedStopper({("small", END): "large"})
    scripts = (small(), stuck)
    async with cascade(tmp_path, *scripts, stopper=stopper, max_request_s=3.5) as client:
        got = await answered(client, wanted(delivery))
        assert (got.token_ids, got.finished.reason) == (SMALL, FinishReason.LENGTH)
        assert (got.finished.plan_name, got.revisions) == ("small", [])


async def test_a_held_answer_that_is_out_of_time_is_sent_as_far_as_it_goes(tmp_path) -> None:
    stuck = small(fault="silent", good_tokens=5)
    async with cascade(tmp_path, stuck, large(), max_request_s=3.0) as client:
        got = await answered(client, wanted(HOLD))
        assert (got.token_ids, got.finished.reason) == (SMALL[:5], FinishReason.DEADLINE)


async def test_a_larger_plan_without_a_replica_is_not_asked(tmp_path) -> None:
    stopper = ScriptedStopper({("small", 8): "large"})
    other = small()
    other.tier = "other"  # so that nobody at that address is the larger tier
    async with AsyncExitStack() as stack:
        addresses = {
            "small": [await stack.enter_async_context(serving(small()))],
            "large": [await stack.enter_async_context(serving(other))],
        }
        client = await stack.enter_async_context(escalating(tmp_path, addresses, stopper))
        got = await answered(client, wanted(REVISE))
        assert got.token_ids == SMALL
        assert not stopper.states
        assert [one.forced for one in got.finished.stages] == ["no larger plan takes work"]


@DELIVERIES
async def test_the_only_plan_that_fails_fails_the_answer(tmp_path, delivery) -> None:
    async with cascade(tmp_path, small(fault="unavailable", good_tokens=0), large()) as client:
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await answered(client, wanted(delivery))


async def test_a_client_that_leaves_while_the_larger_plan_judges(tmp_path) -> None:
    first, stuck = small(), large(fault="silent", good_tokens=2)
    async with cascade(tmp_path, first, stuck) as client:
        await left_at(client, stuck)
        await eventually(lambda: first.num_sessions == stuck.num_sessions == 0)


async def left_at(client: RouterClient, stuck: Script) -> None:
    events = client.generate(wanted(REVISE))
    async for _ in events:
        if stuck.opens:
            await stuck.stuck.wait()
            break
    await events.aclose()


def test_the_work_of_overruled_plans_is_told_and_their_tokens_are_not_counted() -> None:
    class Left:
        """An answer that nobody waited for: what its tier told in time."""

        def left(self, reason: FinishReason) -> SessionEnd:
            tiers = (TierStats("small", num_forward_passes=8, num_committed_tokens=8),)
            return SessionEnd(reason, Usage(3, 8, (PairStats("draft", "small", 2),), tiers))

    tiers = (TierStats("large", 5), TierStats("small", num_committed_tokens=4))
    end = SessionEnd(FinishReason.LENGTH, Usage(3, 12, (PairStats("small", "large", 1),), tiers))
    whole = with_usage_of(end, [Leg("small", Left())]).usage
    assert whole.tiers == (
        TierStats("large", 5),
        TierStats("small", num_forward_passes=8, num_committed_tokens=4),
    )
    assert {(one.drafter, one.verifier) for one in whole.pairs} == {
        ("small", "large"),
        ("draft", "small"),
    }
    assert (whole.num_completion_tokens, with_usage_of(end, [])) == (12, end)
