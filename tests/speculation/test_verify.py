"""Blocks from a drafter that runs elsewhere: the answer is what plain decoding gives."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.speculation.answers import HOT, ask, eventually, plain
from tests.speculation.fleet import Fleet, Replica
from tests.speculation.outside_drafter import Outside, block, hash_of, stream
from tests.tiny_model import CONTEXT
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.types import FinishReason, Plan
from tiercel.v1 import decoding_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.wire.requests import TokenIds
from tiercel.wire.results import reason_from_pb
from tiercel.wire.sessions import open_to_pb

SAMPLINGS = pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])


def ngram(sequence: list[int], longest: int = 5) -> Sequence[int]:
    """What followed the last two tokens before."""
    for start in range(len(sequence) - 3, -1, -1):
        if sequence[start : start + 2] == sequence[-2:]:
            return sequence[start + 2 : start + 2 + longest]
    return []


@pytest.fixture
async def root(fleet: Fleet) -> Replica:
    return await fleet.model("root")


@SAMPLINGS
async def test_an_ngram_drafter(fleet: Fleet, root: Replica, sampling: dict):
    asked = ask("abcabc" * 5, max_new_tokens=80, ignore_eos=True, **sampling)
    outside = Outside(fleet, root, ngram)
    got = await outside.answer(asked)
    assert got.same == (await plain(fleet, root, asked)).same


@SAMPLINGS
@pytest.mark.parametrize("num_tokens", [1, 3, 7, 64])
async def test_a_drafter_that_knows_the_answer(
    fleet: Fleet, root: Replica, sampling: dict, num_tokens: int
):
    """All its tokens stand, and those after a wrong one do not."""
    asked = ask(max_new_tokens=70, ignore_eos=True, **sampling)
    expected = await plain(fleet, root, asked)
    known = [*expected.opened.prompt.token_ids, *expected.token_ids]

    def right(sequence: list[int]) -> list[int]:
        return known[len(sequence) : len(sequence) + num_tokens]

    def wrong_at_third(sequence: list[int]) -> list[int]:
        draft = right(sequence)
        return [*draft[:2], *[(token + 1) % 250 for token in draft[2:]]]

    outside = Outside(fleet, root, right)
    assert (await outside.answer(asked)).same == expected.same
    assert sum(outside.accepted) + len(outside.accepted) == 70
    assert outside.accepted[0] == 0 and outside.accepted[1] == min(num_tokens, 68)
    assert "outside" in outside.got.sources

    lying = Outside(fleet, root, wrong_at_third)
    assert (await lying.answer(asked)).same == expected.same
    assert max(lying.accepted) == min(num_tokens, 2)


@SAMPLINGS
async def test_a_stop_inside_a_block(fleet: Fleet, root: Replica, sampling: dict):
    whole = await plain(fleet, root, ask(max_new_tokens=30, ignore_eos=True, **sampling))
    known = [*whole.opened.prompt.token_ids, *whole.token_ids]
    for stop in (
        [{"max_new_tokens": limit} for limit in range(1, 12)]
        + [{"stop_ids": [token_id]} for token_id in whole.token_ids[:12]]
        + [{"stop_strings": [whole.text[at : at + 3]]} for at in range(12)]
    ):
        asked = ask(**{"max_new_tokens": 30, "ignore_eos": True} | stop | sampling)
        outside = Outside(fleet, root, lambda sequence: known[len(sequence) :][:5])
        assert (await outside.answer(asked)).same == (await plain(fleet, root, asked)).same


async def test_a_stale_block_gets_a_resync_and_the_stream_goes_on(fleet: Fleet, root: Replica):
    asked = ask(max_new_tokens=40, ignore_eos=True)
    outside = Outside(fleet, root, ngram)
    async with stream(fleet, root) as (inbox, outbox):
        outbox.put(pb.VerifyRequest(open=open_to_pb(asked, root.plan(), ())))
        outside._take(await inbox.get(), ())
        outside._take(await inbox.get(), ())
        here = outside.sequence
        for wrong in (
            {"start_position": len(here) - 1},
            {"start_position": len(here) + 1},
            {"start_position": 0},
            {"start_position": 2**32 - 1},
            {"prefix_hash": 12345},
            {"prefix_hash": hash_of(here[:-1])},
        ):
            outbox.put(pb.VerifyRequest(block=block(here, [70, 71], epoch=5, **wrong)))
            resync = (await inbox.get()).resync
            assert (resync.epoch, resync.have_position) == (5, len(here))
            assert resync.prefix_hash == hash_of(here)
        outbox.put(pb.VerifyRequest(block=block(here, ngram(here))))
        await outside.follow(inbox, outbox)
    assert outside.got.same == (await plain(fleet, root, asked)).same


async def test_a_session_goes_on_after_committed_tokens(fleet: Fleet, root: Replica):
    asked = ask(max_new_tokens=30, ignore_eos=True, **HOT)
    whole = await plain(fleet, root, asked)
    for cut in range(31):
        committed = whole.token_ids[:cut]
        got = await Outside(fleet, root, ngram).answer(asked, committed=committed)
        assert got.token_ids == whole.token_ids[cut:]
        assert got.text_by_token == whole.text_by_token[cut:]


async def test_a_full_context_ends_the_answer(fleet: Fleet, root: Replica):
    ids = TokenIds(tuple(range(3, 253)) * 2, root.tier.tokenizer.fingerprint)
    asked = ask(ids, max_new_tokens=100, ignore_eos=True)
    got = await Outside(fleet, root, lambda sequence: [70] * 64).answer(asked)
    assert got.same == (await plain(fleet, root, asked)).same
    assert len(got.token_ids) == CONTEXT - 500


async def test_the_caller_may_finish(fleet: Fleet, root: Replica):
    async with stream(fleet, root) as (inbox, outbox):
        outbox.put(pb.VerifyRequest(open=open_to_pb(ask(), root.plan(), ())))
        outbox.put(pb.VerifyRequest(finish=pb.GenerateFinish()))
        messages = []
        while (message := await inbox.get()) is not None:
            messages.append(message)
    end = messages[-1].finished
    assert reason_from_pb(end.reason) is FinishReason.CANCELLED
    assert end.usage.num_completion_tokens == 1
    await eventually(lambda: root.num_sessions == 0)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"token_ids": [269]}, r"block\.token_ids=269: outside the vocabulary"),
        ({"token_ids": [70] * 65}, r"block\.token_ids=65: over 64 tokens"),
        ({"spans": []}, r"block\.spans=0: must cover"),
        ({"spans": [decoding_pb2.Span(tier="x", num_tokens=2**32 - 1)]}, r"block\.spans=1"),
    ],
)
async def test_a_bad_block_ends_its_own_stream_only(
    fleet: Fleet, root: Replica, bad: dict, why: str
):
    healthy = asyncio.create_task(plain(fleet, root, ask(max_new_tokens=200, ignore_eos=True)))

    class Garbage(Outside):
        def _take(self, message, committed):
            good = super()._take(message, committed)
            return block(self.sequence, [70], **bad) if good is not None else None

    with pytest.raises(InvalidRequest, match=why):
        await Garbage(fleet, root, ngram).answer(ask())
    assert len((await healthy).token_ids) == 200
    await eventually(lambda: root.num_sessions == 0)


async def test_a_plan_with_drafters_is_refused(fleet: Fleet, root: Replica):
    plan = root.plan(Plan("twin", "localhost:1"))
    with pytest.raises(PlanRefused, match=r"plan\.drafters must be empty"):
        await Outside(fleet, root, ngram).answer(ask(), plan)
