"""Drafters that lie, send garbage or flood: the answer stands, and costs hardly more passes."""

import time

import grpc
import pytest

from tests.addresses import free_address
from tests.faults import lies, rogues
from tests.faults.answers import Reading, answer, asked, expected
from tests.faults.in_process import all_closed, verifier
from tests.faults.services import idle_at
from tiercel.types import FinishReason, Plan
from tiercel.v1 import decoding_pb2
from tiercel.v1 import drafter_pb2 as pb

TOKENS = 150
MODEL = "m?base_s=0.002"

BEHAVIOURS = {
    "wrong": rogues.blocks(lies.wrong),
    "one right": rogues.blocks(lies.one_right),
    "out of the vocabulary": rogues.blocks(lies.out_of_vocabulary),
    "oversized": rogues.blocks(lies.oversized),
    "spans too long": rogues.blocks(lies.badly_spanned),
    "no spans": rogues.blocks(lies.without_spans),
    "stale": rogues.blocks(lies.stale),
    "wrong hash": rogues.blocks(lies.badly_hashed),
    "beyond a gap": rogues.blocks(lies.beyond_a_gap),
    "reordered": rogues.blocks(lies.reordered_and_twice),
    "two-sided": rogues.blocks(lies.two_sided),
    "empty blocks": rogues.blocks(lambda knowledge: [knowledge.block([])]),
    "before opened": rogues.before_opened,
    "resyncing": rogues.resyncing,
    "silent": rogues.silent,
    "only alive": rogues.only_alive,
    "gone": rogues.gone,
    "leaving": rogues.leaving,
    "empty messages": rogues.empty_messages,
    "huge": rogues.huge,
    "flood of heartbeats": rogues.stream_of(
        pb.DraftResponse(heartbeat=decoding_pb2.Heartbeat(sequence=1))
    ),
    "flood of losses": rogues.stream_of(
        pb.DraftResponse(drafter_lost=decoding_pb2.DrafterLost(path=["x"], reason="lost"))
    ),
    "flood of resyncs": rogues.stream_of(pb.DraftResponse(resync=pb.Resync(epoch=0))),
    "flood of blocks": rogues.stream_of(pb.DraftResponse(block=pb.DraftBlock(epoch=9))),
    "status before opened": rogues.failing(grpc.StatusCode.INTERNAL),
} | {
    f"status {code.name}": rogues.opened_and_failing(code)
    for code in (
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    )
}
FLOODS = [name for name in BEHAVIOURS if name.startswith("flood") or name == "resyncing"]


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS.keys())
async def test_the_answer_is_that_of_plain_decoding(behaviour):
    async with rogues.rogue(behaviour) as (_, address), verifier("root", MODEL) as root:
        await check_answers(root, address)


async def test_a_server_that_speaks_no_protobuf_changes_nothing():
    async with rogues.served(rogues.add_no_protobuf) as address, verifier("root", MODEL) as root:
        await check_answers(root, address)


async def test_a_server_without_the_service_changes_nothing():
    async with rogues.served(lambda server: None) as address, verifier("root", MODEL) as root:
        await check_answers(root, address)


async def test_an_address_where_nobody_listens_changes_nothing():
    async with verifier("root", MODEL) as root:
        await check_answers(root, free_address())


async def test_a_truthful_drafter_saves_passes():
    """The control: the same server, honest, is made use of."""
    honest = rogues.blocks(lambda knowledge: [knowledge.block(knowledge.truth(4))])
    async with (
        rogues.rogue(honest) as (_, address),
        verifier("root", MODEL, always_draft=True) as root,
    ):
        reading = await answer(root, plan_with(address), max_new_tokens=400)
        assert reading.token_ids == expected(400)
        assert num_passes(reading) < 200


async def test_a_liar_is_heard_less_and_less():
    """A pass over one row takes 11 ms and over five rows 51 ms: a wrong block never pays."""
    async with (
        rogues.rogue(rogues.blocks(lies.wrong)) as (liar, address),
        verifier("root", "m?base_s=0.001&per_token_s=0.01") as root,
    ):
        reading = await answer(root, plan_with(address), max_new_tokens=300)
        assert reading.token_ids == expected(300)
        [pair] = reading.end.usage.pairs
        assert 1 <= pair.num_drafts <= 20
        assert liar.num_blocks <= 24


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_is_not_listened_to_for_long(name):
    """A drafter may say a hundred things in vain, and ten more a second, and two a question."""
    async with rogues.rogue(BEHAVIOURS[name]) as (_, address), verifier("root", MODEL) as root:
        began = time.monotonic()
        async with asked(root, plan_with(address), max_new_tokens=4000) as reading:
            await reading.until(lambda: any("one too many" in lost.reason for lost in reading.lost))
            most = 110 + 10 * (time.monotonic() - began) + 2 * len(reading.token_ids)
            assert len(reading.lost) <= most
            reading.session.finish()
            await reading.to_the_end()
        assert reading.token_ids == expected(len(reading.token_ids))


async def check_answers(root: str, address: str) -> None:
    """Check an answer with the drafter at the address, then that the verifier is none the worse."""
    reading = await answer(root, plan_with(address), max_new_tokens=TOKENS)
    assert reading.end.reason is FinishReason.LENGTH
    assert reading.token_ids == expected(TOKENS)
    assert num_passes(reading) <= TOKENS
    assert (await answer(root, Plan("root"), max_new_tokens=8)).token_ids == expected(8)
    await idle_at(root)
    await all_closed()


def plan_with(address: str) -> Plan:
    return Plan("root", drafters=(Plan(rogues.TIER, address),))


def num_passes(reading: Reading) -> int:
    [root] = [tier for tier in reading.end.usage.tiers if tier.tier == "root"]
    return root.num_forward_passes
