"""Drafters that break the protocol, each in its own way, as servers of raw messages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc

from tests.faults.lies import TIER, Knowledge
from tiercel.v1 import decoding_pb2
from tiercel.v1 import drafter_pb2 as pb
from tiercel.v1.drafter_pb2_grpc import DrafterServicer, add_DrafterServicer_to_server

Requests = AsyncIterator[pb.DraftRequest]
Responses = AsyncIterator[pb.DraftResponse]
Behaviour = Callable[[Requests, grpc.aio.ServicerContext], Responses]


async def knowing(requests: Requests) -> AsyncIterator[Knowledge]:
    """Yield what is known after the opening and after every advance."""
    opening = await anext(requests)
    knowledge = Knowledge(opening.open)
    yield knowledge
    async for request in requests:
        kind = request.WhichOneof("message")
        if kind == "advance":
            knowledge.advance(request.advance)
            yield knowledge
        elif kind == "finish":
            return


ALIVE = pb.DraftResponse(heartbeat=decoding_pb2.Heartbeat(sequence=1))
OPENED = pb.DraftResponse(opened=pb.DraftOpened(tier=TIER))


def blocks(make: Callable[[Knowledge], list[pb.DraftBlock]]) -> Behaviour:
    """Answer the opening and each advance with the blocks that `make` makes."""

    async def behave(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
        yield OPENED
        async for knowledge in knowing(requests):
            yield ALIVE
            for block in make(knowledge):
                yield pb.DraftResponse(block=block)

    return behave


def stream_of(message: pb.DraftResponse) -> Behaviour:
    """Send one message without end, as fast as it is taken."""

    async def behave(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
        yield OPENED
        while True:
            yield message

    return behave


async def before_opened(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
    async for knowledge in knowing(requests):
        yield pb.DraftResponse(block=knowledge.block(knowledge.truth(4)))


async def resyncing(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
    """Never satisfied with what it is told."""
    yield OPENED
    async for knowledge in knowing(requests):
        yield pb.DraftResponse(resync=pb.Resync(epoch=knowledge.epoch, have_position=2**31))


async def silent(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
    async for _ in requests:
        pass
    for message in ():
        yield message


async def only_alive(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
    yield OPENED
    while True:
        await asyncio.sleep(0.1)
        yield pb.DraftResponse(heartbeat=decoding_pb2.Heartbeat(sequence=1))


async def gone(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
    for message in ():
        yield message


async def leaving(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
    yield OPENED
    yield pb.DraftResponse(go_away=pb.GoAway(reason="I leave"))
    async for _ in requests:
        pass


async def empty_messages(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
    yield OPENED
    async for _ in knowing(requests):
        yield pb.DraftResponse()


async def huge(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
    yield OPENED
    yield pb.DraftResponse(go_away=pb.GoAway(reason="x" * 10_000_000))


def failing(code: grpc.StatusCode) -> Behaviour:
    """End the call with a status, before anything else."""

    async def behave(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
        await context.abort(code, "as it pleases")
        yield OPENED

    return behave


def opened_and_failing(code: grpc.StatusCode) -> Behaviour:
    """End the call with a status once it is open."""

    async def behave(requests: Requests, context: grpc.aio.ServicerContext) -> Responses:
        yield OPENED
        await context.abort(code, "as it pleases")

    return behave


class Rogue(DrafterServicer):
    """Serves one behaviour; counts the streams and the blocks."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.num_streams = 0
        self.num_blocks = 0

    async def Draft(self, request_iterator, context) -> Responses:
        self.num_streams += 1
        async for response in self._behaviour(request_iterator, context):
            self.num_blocks += response.WhichOneof("message") == "block"
            yield response


@asynccontextmanager
async def served(add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[str]:
    """Serve what `add` adds; yield the address."""
    options = [("grpc.max_send_message_length", -1)]
    server = grpc.aio.server(options=options)
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def rogue(behaviour: Behaviour) -> AsyncIterator[tuple[Rogue, str]]:
    """Serve a drafter of this behaviour; yield it and its address."""
    servicer = Rogue(behaviour)
    async with served(lambda server: add_DrafterServicer_to_server(servicer, server)) as address:
        yield servicer, address


class NoProtobuf(grpc.GenericRpcHandler):
    """Answers every call with bytes that are no message."""

    def service(self, handler_call_details: grpc.HandlerCallDetails):
        async def babble(requests, context) -> AsyncIterator[bytes]:
            async for _ in requests:
                yield b"\xff" * 100

        return grpc.stream_stream_rpc_method_handler(babble)


def add_no_protobuf(server: grpc.aio.Server) -> None:
    server.add_generic_rpc_handlers((NoProtobuf(),))
