"""Verifiers in the test's own process, so that what they leave behind can be counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import patch

from services.verifier.__main__ import opening
from services.verifier.settings import Settings
from tests.faults.services import HEARTBEAT_S, until
from tiercel import rpc
from tiercel.engines.simulated import SimulatedCache, SimulatedModel

_open = SimulatedModel.open
_caches: list[SimulatedCache] = []


@asynccontextmanager
async def verifier(tier: str, model: str = "m", **settings: object) -> AsyncIterator[str]:
    """Serve a simulated tier; yield its address."""
    own = {"engine": "simulated", "heartbeat_s": HEARTBEAT_S, "max_sessions": 64}
    own["prefix_cache_tokens"] = 0  # of caches that outlive their sessions on purpose
    given = Settings(_cli_parse_args=[], tier=tier, model=model, **(own | settings))
    with patch.object(SimulatedModel, "open", _remembered):
        async with rpc.server(opening(given), "127.0.0.1:0") as port:
            yield f"127.0.0.1:{port}"


def open_caches() -> list[SimulatedCache]:
    """Return the caches of this process's verifiers that nobody closed."""
    return [cache for cache in _caches if cache.hashes]


async def all_closed() -> None:
    """Wait until every cache of this process's verifiers is closed."""

    async def is_closed() -> bool:
        return not open_caches()

    await until(is_closed, "a cache outlived its session", within_s=10)


def our_tasks() -> list[str]:
    """Return the coroutines of this loop's tasks that are Tiercel's own."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return [coro.__qualname__ for coro in coroutines if "/tiercel/" in coro.cr_code.co_filename]


def _remembered(
    model: SimulatedModel, prefix: SimulatedCache | None = None, length: int = 0
) -> SimulatedCache:
    cache = _open(model, prefix, length)
    _caches.append(cache)
    return cache
