"""Larger plans that die, refuse, are silent or late: the answer goes on with what there is."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.router.escalations import END, ScriptedStopper, answered, asked_of, escalating
from tests.router.routers import eventually
from tests.router.scripted_tier import FINGERPRINT, Script, answer, serving
from tiercel.clients.router import RouterClient
from tiercel.errors import DeadlineExceeded, Unavailable
from tiercel.sessions import Delivery
from tiercel.types import FinishReason

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
    options = {"max_outage_s": 0.2, "heartbeat_s": 0.4} | settings
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
    # Its heartbeats stay out, too; patience is longer than the time there is.
    settings = {"heartbeat_s": 30.0, "max_request_s": 2.5}
    async with cascade(tmp_path, *scripts, stopper=stopper, **settings) as client:
        got = await answered(client, wanted(delivery))
        assert (got.token_ids, got.finished.reason) == (SMALL, FinishReason.LENGTH)
        assert (got.finished.plan_name, got.revisions) == ("small", [])


async def test_a_held_answer_that_is_out_of_time_is_sent_as_far_as_it_goes(tmp_path) -> None:
    stuck = small(fault="silent", good_tokens=5)
    settings = {"heartbeat_s": 30.0, "max_request_s": 2.0}
    async with cascade(tmp_path, stuck, large(), **settings) as client:
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
    async with cascade(tmp_path, first, stuck, heartbeat_s=30.0) as client:
        await left_at(client, stuck)
        await eventually(lambda: first.num_sessions == stuck.num_sessions == 0)


async def left_at(client: RouterClient, stuck: Script) -> None:
    events = client.generate(wanted(REVISE))
    async for _ in events:
        if stuck.opens:
            await stuck.stuck.wait()
            break
    await events.aclose()
