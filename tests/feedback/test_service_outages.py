"""The service while Redis is killed, paused or not there yet: nothing hangs, all comes back."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from pydantic import SecretStr

from services.feedback.__main__ import opening
from services.feedback.settings import Settings
from tests.feedback.calls import get, report, until_version, watch
from tests.feedback.conftest import StartService, Stub
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tiercel import rpc
from tiercel.errors import Unavailable
from tiercel.learning import Outcome


async def test_with_redis_killed_nothing_hangs_and_all_comes_back(
    redis: RedisServer, start_service: StartService
):
    stub = await start_service(redis.url)
    policies = watch(stub)
    events = [outcome() for _ in range(3)]
    await report(stub, *events)
    known = await until_version(policies, 3)
    redis.kill()
    async with asyncio.timeout(60):
        with pytest.raises(Unavailable):
            await report(stub, outcome())
        assert await get(stub) == known
        assert await anext(watch(stub)) == known
    await redis.start()
    assert await report(stub, *events) == (0, 3)
    await report(stub, outcome())
    pushed = await until_version(policies, 4)
    assert (pushed.epoch, pushed.version) == (known.epoch, 4)


async def test_with_redis_paused_a_report_is_refused_and_may_come_again(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url, store_timeout_s=0.8)
    event = outcome()
    await until_taken(stub, outcome())
    valkey.send(signal.SIGSTOP)
    try:
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable):
                await report(stub, event)
    finally:
        valkey.send(signal.SIGCONT)
    await until_taken(stub, event)
    assert (await until_version(watch(stub), 2)).version == 2


async def until_taken(stub: Stub, event: Outcome) -> None:
    """Report again and again: on a busy machine a store that is there may be late as well."""
    async with asyncio.timeout(60):
        while True:
            with suppress(Unavailable):
                await report(stub, event)
                return


async def test_the_service_starts_without_redis_and_finds_it_later(
    redis: RedisServer, start_service: StartService
):
    redis.kill()
    stub = await start_service(redis.url)
    policies = watch(stub)
    first = asyncio.ensure_future(anext(policies))
    with pytest.raises(Unavailable):
        await get(stub)
    assert not first.done()
    await redis.start()
    assert (await first).version == 0


async def test_the_service_stops_though_a_cancellation_is_dropped(
    valkey: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        "services.feedback.connection.Connection.hints", hints_that_drop_a_cancellation
    )
    async with asyncio.timeout(60):
        async with rpc.server(opening(Settings(redis_url=SecretStr(valkey.url))), "localhost:0"):
            await asyncio.sleep(0)


async def hints_that_drop_a_cancellation(_: object) -> AsyncIterator[None]:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()
    yield
