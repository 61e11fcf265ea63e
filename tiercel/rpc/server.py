"""The server shell that all services share: listen, load, be healthy, drain, stop."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, cast

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from tiercel.rpc.interceptor import ErrorsToStatus, Gate
from tiercel.rpc.limits import MAX_MESSAGE_BYTES

log = structlog.get_logger(__name__)

LIVENESS, READINESS = "liveness", "readiness"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
# What cancelled handlers get to end their own calls and give their caches back.
_CLEAN_UP_S = 5.0
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A second process on one port must fail, not share it silently.
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client that is gone without a word holds what answers it for seven seconds, no longer. It is
    # the ping's own timeout that ends the connection: a minute if not set, whatever keepalive says.
    ("grpc.keepalive_time_ms", 4_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
)


class Service(Protocol):
    """What the shell needs of a service."""

    def register(self, server: grpc.aio.Server) -> list[str]:
        """Add the handlers; return the full names of the gRPC services."""
        ...

    async def drain(self) -> None:
        """Ask peers to leave; new calls are refused already."""
        ...


@asynccontextmanager
async def server(
    opening: AbstractAsyncContextManager[Service],
    address: str,
    *,
    grace_s: float = 0.0,
    reflect: bool = False,
) -> AsyncIterator[int]:
    """Listen on `address` (port 0: any), open the service, yield the port; stop on exit.

    Health answers from the start; other calls are refused as UNAVAILABLE until the service is open.
    Raises OSError if the address cannot be bound.
    """
    gate, handlers, health = Gate(), ErrorsToStatus(), health_aio.HealthServicer()
    grpc_server = grpc.aio.server(interceptors=(gate, handlers), options=_OPTIONS)
    health_pb2_grpc.add_HealthServicer_to_server(health, grpc_server)
    port = _bind(grpc_server, address)
    await _set_health(health, ready=False)
    await grpc_server.start()
    try:
        async with opening as service:
            late = cast(grpc.aio.Server, _LateRegistration(grpc_server))
            names = service.register(late)
            if reflect:
                names = [*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
                reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], late)
            gate.open()
            await _set_health(health, ready=True)
            try:
                yield port
            finally:
                await _set_health(health, ready=False)
                gate.close("the server is draining")
                await service.drain()
                await grpc_server.stop(grace_s)
                await handlers.idle(_CLEAN_UP_S)
    finally:
        await grpc_server.stop(None)


async def serve(
    opening: AbstractAsyncContextManager[Service],
    address: str,
    *,
    grace_s: float,
    reflect: bool,
) -> None:
    """Run a service until SIGTERM or SIGINT, then drain for at most `grace_s` seconds."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with server(opening, address, grace_s=grace_s, reflect=reflect) as port:
        # What was loaded stays: the collector need not look through it at every turn.
        gc.collect()
        gc.freeze()
        log.info("ready", address=address, port=port)
        await stop.wait()
        log.info("draining", grace_s=grace_s)
    log.info("stopped")


class _LateRegistration:
    """Adds handlers to a server that has started.

    Generated code offers every handler in two forms; a started server takes the generic one, and
    warns about the other.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Leave the other form out."""


def _bind(grpc_server: grpc.aio.Server, address: str) -> int:
    try:
        port = grpc_server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: {error}") from None
    if port == 0:
        raise OSError(f"cannot listen on {address}")
    return port


async def _set_health(health: health_aio.HealthServicer, *, ready: bool) -> None:
    await health.set(LIVENESS, _SERVING)
    for name in (READINESS, ""):
        await health.set(name, _SERVING if ready else _NOT_SERVING)
