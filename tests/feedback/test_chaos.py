"""Whatever happens to Redis or to feedback, in the end each event was counted once."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from services.feedback.connection import Connection
from services.feedback.store import Memory, Store
from services.router.learning import outcomes
from tests.faults.proxy import proxied
from tests.faults.services import start
from tests.feedback.chaos import (
    FROZEN,
    NEVER_S,
    clean_run,
    empty,
    events,
    feedback,
    known,
    reporting,
    until,
    until_counted,
    version,
)
from tests.feedback.fleets import started
from tests.feedback.servers import BINARIES, RedisServer
from tiercel.clients.feedback import FeedbackClient
from tiercel.learning import LearnedPolicy


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_LOOK_S", 0.05)
    monkeypatch.setattr(outcomes, "_MAX_ATTEMPTS", 1)


async def strike(server: RedisServer, fault: str) -> None:
    if fault == "killed":
        server.kill()
    elif fault == "paused":
        server.send(signal.SIGSTOP)


async def heal(server: RedisServer, fault: str) -> None:
    if fault == "killed":
        await server.start()
    elif fault == "paused":
        server.send(signal.SIGCONT)


@pytest.mark.parametrize("fault", ["killed", "paused"])
async def test_two_replicas_told_of_everything_twice_over_a_fault_know_what_a_clean_run_does(
    fault: str, valkey: RedisServer, tmp_path: Path
):
    told = events(150)
    async with AsyncExitStack() as stack:
        reporters = []
        for name in ("one", "two"):
            port = await stack.enter_async_context(feedback(valkey.url))
            running = reporting(tmp_path / name, f"localhost:{port}")
            reporters.append(await stack.enter_async_context(running))

        def put(begin: int, end: int) -> None:
            for event in told[begin:end]:
                for reporter, _ in reporters:
                    reporter.put(event)

        put(0, 50)
        await until_counted(valkey.url, 1)
        await strike(valkey, fault)
        put(50, 100)
        await until(lambda: all(len(spool) > 0 for _, spool in reporters))
        await heal(valkey, fault)
        put(100, 150)
        await until_counted(valkey.url, 150)
        await until(lambda: not any(len(spool) for _, spool in reporters))
    assert await version(valkey.url) == 150
    assert await known(valkey.url) == await clean_run(valkey.url, told)


async def test_events_that_count_twice_would_be_seen(valkey: RedisServer):
    """The tests here can fail: without its mark a second delivery counts."""
    told = events(3)
    connection = Connection(valkey.url, namespace="tiercel", timeout_s=30.0)
    store = Store(connection, Memory(half_life_s=NEVER_S))
    await store.apply(told)
    await connection.client.delete(connection.key("event:event-1"))
    await store.apply(told)
    await connection.close()
    assert await known(valkey.url) != await clean_run(valkey.url, told)


async def test_a_service_killed_in_the_middle_of_a_batch_leaves_no_trace(tmp_path: Path):
    told = events(64)
    with ExitStack() as stack:
        binary = BINARIES["valkey"]
        assert binary
        server = started(binary, tmp_path, stack)
        url = f"redis://127.0.0.1:{server.port}"
        async with proxied(f"127.0.0.1:{server.port}") as (link, link_address):
            service = start(
                stack,
                "feedback",
                redis_url=f"redis://{link_address}",
                store_timeout_s=10.0,
                **FROZEN,
            )
            await service.ready()
            async with reporting(tmp_path / "spool", service.address) as (reporter, spool):
                reporter.put(told[0])  # Redis has the step from then on
                await until_counted(url, 1)
                link.let_through(30_000)  # bytes: less than half of the batch
                for event in told[1:]:
                    reporter.put(event)
                await until_counted(url, 2)
                service.kill()
                link.reset()
                link.flow()
                await until(lambda: len(spool) > 0)
                assert 1 < await version(url) < 64
                async with feedback(f"redis://{link_address}", service.address):
                    await until_counted(url, 64)
                    await until(lambda: not spool)
        assert await version(url) == 64
        assert await known(url) == await clean_run(url, told)


async def policies_of(client: FeedbackClient, heard: list[LearnedPolicy]) -> None:
    async for policy in client.watch(LearnedPolicy("", 0)):
        heard.append(policy)


@pytest.fixture
async def service(valkey: RedisServer) -> AsyncIterator[FeedbackClient]:
    async with feedback(valkey.url, store_timeout_s=10.0) as port:
        client = FeedbackClient(f"localhost:{port}")
        yield client
        await client.close()


@pytest.mark.parametrize("lost", ["all", "since the backup"])
async def test_a_store_that_went_back_is_another_epoch_and_learns_again_what_it_lost(
    lost: str, valkey: RedisServer, service: FeedbackClient, tmp_path: Path
):
    first, second = events(10, "first"), events(10, "second")
    heard: list[LearnedPolicy] = []
    watching = asyncio.create_task(policies_of(service, heard))
    data = valkey.folder / "appendonlydir"
    await service.report(first)
    shutil.copytree(data, tmp_path / "backup")
    await service.report(second)
    await until(lambda: bool(heard) and heard[-1].version == 20)
    before = heard[-1]
    empty(valkey)
    if lost != "all":
        shutil.copytree(tmp_path / "backup", data, dirs_exist_ok=True)
    await valkey.start()
    await until(lambda: heard[-1].epoch != before.epoch)
    assert heard[-1].version == (0 if lost == "all" else 10)
    await service.report([*first, *second])
    await until(lambda: heard[-1].version == 20)
    assert await known(valkey.url) == await clean_run(valkey.url, [*first, *second])
    watching.cancel()
    await asyncio.wait([watching])
