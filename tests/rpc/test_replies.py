"""A stream that ends while it is written to: the server's own status counts, not grpc.aio's."""

import asyncio
import itertools

import grpc
import pytest

from tiercel import rpc
from tiercel.rpc.replies import replies

METHOD = "/test/Refuse"
Status = tuple[grpc.StatusCode, str]
OURS: Status = (grpc.StatusCode.UNIMPLEMENTED, "the reason")
THEIRS: Status = (grpc.StatusCode.INTERNAL, "Internal error from Core")
CLEAN: Status = (grpc.StatusCode.OK, "")


class EndingCall:
    """A call that brings one message and then has these statuses, one after the other."""

    def __init__(self, *statuses: Status, later: Status | None = None) -> None:
        self._statuses, self._later = statuses, later
        self._status: Status

    def add_done_callback(self, callback) -> None:
        self._callback = callback

    async def __aiter__(self):
        yield "message"
        self._status = self._statuses[0]
        self._callback(self)
        self._status = self._statuses[-1]
        if self._later is not None:
            asyncio.get_running_loop().call_later(0.05, self._become, self._later)
        if self._status[0] is not grpc.StatusCode.OK:
            metadata = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(self._status[0], metadata, metadata, self._status[1])

    def _become(self, status: Status) -> None:
        self._status = status

    async def code(self) -> grpc.StatusCode:
        return self._status[0]

    async def details(self) -> str:
        return self._status[1]

    async def initial_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata(("of", self._status[1]))


async def end_of(call) -> tuple[list, Status]:
    """Return the messages, and how it ended."""
    messages = []
    try:
        async for message in replies(call):
            messages.append(message)
    except grpc.aio.AioRpcError as failure:
        return messages, (failure.code(), failure.details())
    return messages, CLEAN


@pytest.mark.parametrize(
    ("call", "ends_with"),
    [
        (EndingCall(OURS), OURS),
        (EndingCall(OURS, THEIRS), OURS),
        (EndingCall(THEIRS, OURS), OURS),
        (EndingCall(THEIRS, later=OURS), OURS),
        (EndingCall(CLEAN), CLEAN),
        (EndingCall(CLEAN, THEIRS), CLEAN),
        (EndingCall(THEIRS, later=CLEAN), CLEAN),
        (EndingCall(THEIRS), THEIRS),
    ],
)
async def test_the_status_is_that_of_the_server_if_it_said_one(call, ends_with: Status):
    assert await end_of(call) == (["message"], ends_with)


async def test_a_status_that_was_overwritten_keeps_its_metadata():
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in replies(EndingCall(OURS, THEIRS)):
            pass
    assert raised.value.trailing_metadata()["of"] == "the reason"


async def refuse(requests, context: grpc.aio.ServicerContext) -> None:
    async for number in requests:
        if number == b"3":
            await context.abort(*OURS)


class Refusing(grpc.GenericRpcHandler):
    def service(self, handler_call_details):
        return grpc.stream_stream_rpc_method_handler(refuse)


async def test_a_refusal_is_told_to_one_who_goes_on_talking():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Refusing(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with rpc.channel(f"127.0.0.1:{port}") as channel:
        for _ in range(60):
            assert await end_of(channel.stream_stream(METHOD)(chatter())) == ([], OURS)
    await server.stop(None)


async def chatter():
    for number in itertools.count():
        yield str(number).encode()
        await asyncio.sleep(0)
