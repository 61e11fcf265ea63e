"""Raw streams to a tier under test: messages as they are, and heartbeats in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tiercel.decoding import prefix_hash
from tiercel.rpc import replies
from tiercel.v1 import decoding_pb2, drafter_pb2, tier_pb2, verifier_pb2
from tiercel.v1.drafter_pb2_grpc import DrafterStub
from tiercel.v1.tier_pb2_grpc import TierStub
from tiercel.v1.verifier_pb2_grpc import VerifierStub

BEAT_S = 0.3
# Silence after which a tier that has nothing to say must have said that it is alive.
PATIENCE_S = 60.0


class Stream:
    """One call: `send` a field of the request, `next` gives a kind and a message."""

    def __init__(self, call: Any, request: type) -> None:
        self._call, self._request = call, request
        self._responses = replies(call)
        self._beating = asyncio.create_task(self._beat())

    async def send(self, **fields: Any) -> None:
        """Send one message with this field set."""
        await self._call.write(self._request(**fields))

    async def next(self, *, beats: bool = False) -> tuple[str, Any]:
        """Return the next message, heartbeats only if asked for; "end" is the end of the stream.

        Raises the call's failure.
        """
        while True:
            response = await asyncio.wait_for(anext(self._responses, None), PATIENCE_S)
            if response is None:
                return "end", None
            kind = response.WhichOneof("message")
            if kind != "heartbeat" or beats:
                return kind, getattr(response, kind)

    async def expect(self, kind: str) -> Any:
        """Return the next message, which must be of this kind."""
        got, message = await self.next()
        assert got == kind, f"expected {kind}, got {got}: {message}"
        return message

    async def failure(self) -> grpc.StatusCode:
        """Return the status with which the call fails, whatever comes before."""
        try:
            while (await self.next())[0] != "end":
                pass
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async def ends(self) -> None:
        """Check that nothing but a clean end follows."""
        assert await self.next() == ("end", None)
        assert await self._call.code() is grpc.StatusCode.OK
        self._beating.cancel()

    def close(self) -> None:
        """Leave without a word."""
        self._beating.cancel()
        self._call.cancel()

    async def _beat(self) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                await asyncio.sleep(BEAT_S)
                await self.send(heartbeat=decoding_pb2.Heartbeat(sequence=1))


class Tier:
    """One address under test."""

    def __init__(self, channel: grpc.aio.Channel, about: tier_pb2.DescribeResponse) -> None:
        self._channel = channel
        self.about = about

    async def describe(self) -> tier_pb2.DescribeResponse:
        """Ask it again what it is."""
        return await TierStub(self._channel).Describe(
            tier_pb2.DescribeRequest(), timeout=PATIENCE_S
        )

    @asynccontextmanager
    async def draft(self, timeout_s: float = 120) -> AsyncIterator[Stream]:
        """Call Draft."""
        call = DrafterStub(self._channel).Draft(timeout=timeout_s)
        stream = Stream(call, drafter_pb2.DraftRequest)
        try:
            yield stream
        finally:
            stream.close()

    @asynccontextmanager
    async def verifier(
        self, method: str, timeout_s: float = 2 * PATIENCE_S
    ) -> AsyncIterator[Stream]:
        """Call Generate or Verify."""
        request = {
            "Generate": verifier_pb2.VerifierGenerateRequest,
            "Verify": verifier_pb2.VerifyRequest,
        }[method]
        stream = Stream(getattr(VerifierStub(self._channel), method)(timeout=timeout_s), request)
        try:
            yield stream
        finally:
            stream.close()

    async def forgets(self) -> None:
        """Wait until no session of ours is open any more."""
        for _ in range(300):
            if not (await self.describe()).num_sessions:
                return
            await asyncio.sleep(0.1)
        raise AssertionError("a session outlived its stream by 30 s")


@asynccontextmanager
async def tier_at(address: str) -> AsyncIterator[Tier]:
    """Connect to a tier and ask what it is."""
    async with grpc.aio.insecure_channel(address) as channel:
        about = await TierStub(channel).Describe(
            tier_pb2.DescribeRequest(), timeout=PATIENCE_S, wait_for_ready=True
        )
        yield Tier(channel, about)


def hash_of(token_ids: Sequence[int]) -> int:
    """Return the hash that the protocol gives a sequence."""
    value = prefix_hash.EMPTY
    for token_id in token_ids:
        value = prefix_hash.extend(value, token_id)
    return value
