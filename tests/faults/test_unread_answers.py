"""A caller that says it is alive and takes no answer: the answer is dropped, its cache freed."""

import asyncio
import contextlib

import grpc

from tests.faults.answers import PROMPT
from tests.faults.in_process import all_closed, open_caches, verifier
from tests.faults.services import HEARTBEAT_S, PATIENCE_S, idle_at, until
from tiercel.types import Plan
from tiercel.v1 import decoding_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.v1.verifier_pb2_grpc import VerifierStub
from tiercel.wire.plans import plan_to_pb


async def test_an_answer_that_nobody_takes_is_dropped():
    small = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16384)]
    async with (
        verifier("root", "m?base_s=0.0001") as root,
        grpc.aio.insecure_channel(root, options=small) as channel,
    ):
        call = VerifierStub(channel).Generate(opening_and_beats())
        await until(holds_cache, "no session opened a cache")
        await idle_at(root, within_s=PATIENCE_S)
        await all_closed()
        kinds = [message.WhichOneof("message") async for message in taken(call)]
        assert kinds
        assert "finished" not in kinds


async def holds_cache() -> bool:
    return bool(open_caches())


async def opening_and_beats():
    """Ask for more than a connection holds, and stay alive."""
    yield pb.VerifierGenerateRequest(
        open=pb.GenerateOpen(
            plan=plan_to_pb(Plan("root")),
            prompt=decoding_pb2.Prompt(text=PROMPT),
            stop=decoding_pb2.StopConditions(max_new_tokens=8000),
            logprobs=True,
            num_top_logprobs=20,
        )
    )
    while True:
        await asyncio.sleep(HEARTBEAT_S)
        yield pb.VerifierGenerateRequest(heartbeat=decoding_pb2.Heartbeat(sequence=1))


async def taken(call):
    """Yield what comes, up to the end or the failure of the call."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        async for message in call:
            yield message
