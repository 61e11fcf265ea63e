"""The one place where exceptions become gRPC status, and where calls are turned away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
import structlog

from tiercel import errors
from tiercel.rpc.patience import Patience
from tiercel.rpc.status import status_from_error

log = structlog.get_logger(__name__)

# A peer that takes nothing for so long holds a session without reading its answer.
_UNREAD_S = 6.0

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


class Gate(grpc.aio.ServerInterceptor):
    """Refuses calls, health excepted, until it is opened and after it is closed."""

    def __init__(self) -> None:
        self._refusal: errors.Unavailable | None = errors.Unavailable("the model is loading")

    def open(self) -> None:
        """Let calls through."""
        self._refusal = None

    def close(self, why: str) -> None:
        """Refuse new calls; those that are open go on."""
        self._refusal = errors.Unavailable(why)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of the call, or one that refuses it."""
        refusal = self._refusal
        if refusal is None or handler_call_details.method.startswith("/grpc.health."):
            return await continuation(handler_call_details)

        async def refuse(_: AsyncIterator[bytes], context: Any) -> None:
            await context.abort_with_status(status_from_error(refusal))

        return grpc.stream_stream_rpc_method_handler(refuse)


class ErrorsToStatus(grpc.aio.ServerInterceptor):
    """Ends a call whose handler raised with the right status; nothing else reaches the caller.

    It also knows which handlers still run: gRPC's `stop` cancels them and does not wait.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def idle(self, timeout_s: float) -> None:
        """Wait until every handler has cleaned up, at most so long."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Return the handler of the call, wrapped."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        coders = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        method = handler_call_details.method
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._counted(_unary(handler.unary_unary, method)), **coders
            )
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(
                self._counted(_unary(handler.stream_unary, method)), **coders
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._counted(_stream(handler.unary_stream, method)), **coders
            )
        return grpc.stream_stream_rpc_method_handler(
            self._counted(_stream(handler.stream_stream, method)), **coders
        )

    def _counted(self, behavior: Any) -> Any:
        async def handle(request: Any, context: Any) -> Any:
            task = asyncio.current_task()
            assert task is not None, "gRPC runs every handler in a task"
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            return await behavior(request, context)

        return handle


def _unary(behavior: Any, method: str) -> Any:
    async def handle(request: Any, context: Any) -> Any:
        try:
            return await behavior(request, context)
        except Exception as error:
            await _end(context, error, method)

    return handle


def _stream(behavior: Any, method: str) -> Any:
    # A coroutine and not a generator: gRPC would leave a cancelled generator suspended, and its
    # `finally` to the garbage collector; `aclosing` runs it at once.
    async def handle(request: Any, context: Any) -> None:
        patience = Patience(_UNREAD_S)
        try:
            async with aclosing(behavior(request, context)) as responses:
                async for response in responses:
                    await _write(context, response, patience)
        except _Unread:
            # No status can follow a message that is stuck: gRPC ends the call as cancelled.
            log.warning("a peer reads no answers", method=method)
        except Exception as error:
            await _end(context, error, method)
        finally:
            patience.close()

    return handle


class _Unread(Exception):
    """The peer took no message for too long."""


async def _write(context: Any, response: Any, patience: Patience) -> None:
    try:
        with patience:
            await context.write(response)
    except TimeoutError:
        raise _Unread from None


async def _end(context: Any, error: Exception, method: str) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, errors.TiercelError):
        await context.abort_with_status(status_from_error(error))
    log.error("a call failed", method=method, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "internal error; the server's log has more")
