"""Stores and services over real servers."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.feedback.__main__ import opening
from services.feedback.connection import Connection
from services.feedback.settings import Settings
from services.feedback.store import Memory, Store
from tests.feedback.servers import BINARIES, RedisServer
from tiercel import rpc
from tiercel.routing.pacing import Pacing
from tiercel.v1 import feedback_pb2_grpc

Stub = feedback_pb2_grpc.FeedbackStub


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(params=list(BINARIES))
async def redis(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[RedisServer]:
    """A server of each kind that this machine has."""
    binary = BINARIES[request.param]
    if binary is None:
        pytest.skip("no redis-server on this machine")
    server = RedisServer(binary, folder)
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def valkey(folder: Path) -> AsyncIterator[RedisServer]:
    """The one server that is always there."""
    binary = BINARIES["valkey"]
    assert binary
    server = RedisServer(binary, folder)
    await server.start()
    yield server
    server.kill()


OpenStore = Callable[..., Store]


@pytest.fixture
async def open_store() -> AsyncIterator[OpenStore]:
    """Opens stores, and closes them at the end."""
    async with AsyncExitStack() as stack:

        def opened(
            url: str,
            memory: Memory | None = None,
            namespace: str = "test",
            timeout_s: float = 30.0,
            pacing: Pacing | None = None,
        ) -> Store:
            connection = Connection(url, namespace=namespace, timeout_s=timeout_s)
            stack.push_async_callback(connection.close)
            return Store(connection, memory or Memory(), pacing=pacing)

        yield opened


StartService = Callable[..., Awaitable[Stub]]


@pytest.fixture
async def start_service() -> AsyncIterator[StartService]:
    """Starts services on sockets, and gives a stub for each."""
    async with AsyncExitStack() as stack:

        async def started(url: str = "", **overrides: object) -> Stub:
            values = {"poll_s": 0.2, "push_interval_s": 0.05, "store_timeout_s": 10.0, **overrides}
            settings = Settings(redis_url=SecretStr(url), **values)
            port = await stack.enter_async_context(rpc.server(opening(settings), "localhost:0"))
            channel = await stack.enter_async_context(rpc.channel(f"localhost:{port}"))
            return feedback_pb2_grpc.FeedbackStub(channel)

        yield started
