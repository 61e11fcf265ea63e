"""What a stream brings, up to the status that the server itself ended it with."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

import grpc

Request = TypeVar("Request")
Reply = TypeVar("Reply")

# What grpc.aio says of itself when a message that it was sending met the end of the stream; that
# may come before the server's own status, or overwrite it (grpc/grpc issue 36066).
_OWN_WORDS = "Internal error from Core"
# How long the server's status may be behind; if the connection itself is at fault, none comes.
_BEHIND_S, _LOOK_S = 1.0, 0.01


async def replies(call: grpc.aio.StreamStreamCall[Request, Reply]) -> AsyncGenerator[Reply, None]:
    """Yield the messages of a call that has just begun; raises the AioRpcError that ended it."""
    first: list[grpc.aio.AioRpcError] = []
    call.add_done_callback(lambda ended: first.append(_at_once(_status(ended))))
    try:
        async for message in call:
            yield message
    except grpc.aio.AioRpcError as failure:
        if failure.details() != _OWN_WORDS:
            raise
        status = await _of_the_server(call, first[0])
        if status.code() is not grpc.StatusCode.OK:
            raise status from None


async def _of_the_server(
    call: grpc.aio.StreamStreamCall[Request, Reply], status: grpc.aio.AioRpcError
) -> grpc.aio.AioRpcError:
    """Return the server's status: the first one, or the one that takes its place."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _BEHIND_S
    while status.details() == _OWN_WORDS and loop.time() < until:
        await asyncio.sleep(_LOOK_S)
        status = await _status(call)
    return status


async def _status(call: grpc.aio.Call) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        await call.code(),
        await call.initial_metadata(),
        await call.trailing_metadata(),
        details=await call.details(),
    )


def _at_once(coroutine: Coroutine[Any, Any, grpc.aio.AioRpcError]) -> grpc.aio.AioRpcError:
    """Return what a coroutine returns that need not wait, as for the status of an ended call."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        value: grpc.aio.AioRpcError = returned.value
        return value
    raise RuntimeError("a call that has ended has no status")
