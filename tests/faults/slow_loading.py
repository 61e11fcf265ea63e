"""A verifier whose model loads when the test says so."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from unittest.mock import patch

from services.verifier.__main__ import opening
from services.verifier.settings import Settings
from tests.addresses import free_address
from tests.faults.services import until_ready
from tiercel import engines, rpc


@asynccontextmanager
async def slowly_loading_verifier() -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Yield the address of a verifier that is loading, and what lets it finish."""
    address, may_load, may_end = free_address(), threading.Event(), asyncio.Event()
    load = engines.load

    def slow_load(*arguments, **options):
        may_load.wait()
        return load(*arguments, **options)

    async def serve() -> None:
        settings = Settings(_cli_parse_args=[], tier="slow", engine="simulated", model="m")
        async with rpc.server(opening(settings), address):
            await may_end.wait()

    async def finish_loading() -> None:
        may_load.set()
        await until_ready(address)

    with patch.object(engines, "load", slow_load):
        serving = asyncio.create_task(serve())
        try:
            yield address, finish_loading
        finally:
            may_load.set()
            may_end.set()
            await serving
