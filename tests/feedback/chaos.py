"""For tests of learning under faults: services that forget nothing, and what they know."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from services.feedback.__main__ import opening
from services.feedback.connection import Connection
from services.feedback.operators import Operators
from services.feedback.settings import Settings
from services.feedback.store import Memory, Store
from services.router.learning.outcomes import OutcomeReporter
from services.router.learning.spool import Spool
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tiercel import rpc
from tiercel.clients.feedback import FeedbackClient
from tiercel.learning import Event

# So that sums do not fade, and are the same bits however long a fault took.
NEVER_S = 1e300
FROZEN = {"half_life_s": NEVER_S, "rating_half_life_s": NEVER_S, "keep_every_s": NEVER_S}
PATIENCE_S = 120.0
_ORDERED = ('["drift"', '["restart"')

Cells = dict[str, dict[str, float]]


def events(number: int, prefix: str = "event") -> list[Event]:
    """Return outcomes of different sums, all of which add up without rounding in any order."""
    return [
        outcome(event_id=f"{prefix}-{i}", accepted=40 + i % 50, draft_s=0.125, pass_s=i / 8)
        for i in range(number)
    ]


def feedback(redis: str, address: str = "localhost:0", **more) -> AbstractAsyncContextManager[int]:
    """Serve feedback over a Redis; gives the port."""
    fast = {"store_timeout_s": 1.0, "poll_s": 0.2, "push_interval_s": 0.05, **FROZEN, **more}
    return rpc.server(opening(Settings(redis_url=SecretStr(redis), **fast)), address)


@asynccontextmanager
async def reporting(spool: Path, address: str) -> AsyncIterator[tuple[OutcomeReporter, Spool]]:
    """Report to an address as a router does, with a spool on disk."""
    waiting = Spool(spool, 10_000)
    reporter, client = OutcomeReporter(waiting), FeedbackClient(address)
    try:
        async with reporter.reporting(client):
            yield reporter, waiting
    finally:
        await client.close()


async def known(redis: str, namespace: str = "tiercel") -> Cells:
    """Return what is learned, as an export has it but for the times of the last change.

    And but for what watches for a change, which is about the order in which events come.
    """
    connection = Connection(redis, namespace=namespace, timeout_s=30.0)
    try:
        lines = [json.loads(line) async for line in Operators(connection).export()]
    finally:
        await connection.close()
    cells = {line["cell"]: _sums(line["sums"]) for line in lines[1:]}
    return {name: sums for name, sums in cells.items() if not name.startswith(_ORDERED)}


async def clean_run(redis: str, told: Sequence[Event]) -> Cells:
    """Return what is learned of events that come once each, and nothing goes wrong."""
    connection = Connection(redis, namespace="clean", timeout_s=30.0)
    await Store(connection, Memory(half_life_s=NEVER_S)).apply(told)
    await connection.close()
    return await known(redis, "clean")


async def version(redis: str) -> int:
    """Return how many events were counted."""
    connection = Connection(redis, namespace="tiercel", timeout_s=30.0)
    try:
        found = await Store(connection, Memory()).read()
    finally:
        await connection.close()
    assert found is not None
    return found.version


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not (await held if isinstance(held := condition(), Awaitable) else held):
            await asyncio.sleep(0.02)


async def until_counted(redis: str, number: int) -> None:
    """Wait until so many events were counted."""

    async def are_counted() -> bool:
        return await version(redis) >= number

    await until(are_counted)


def empty(server: RedisServer) -> None:
    """Kill a server and lose its data."""
    server.kill()
    for file in (server.folder / "appendonlydir").iterdir():
        file.unlink()


def _sums(text: str) -> dict[str, float]:
    words = text.split()
    sums = dict(zip(words[::2], map(float, words[1::2]), strict=True))
    del sums["at"]
    return sums
