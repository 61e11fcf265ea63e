"""The store while its server is killed or hangs, and what its errors may show."""

import asyncio
import signal

import pytest
import redis.asyncio

from services.feedback.cells import Cell, Snapshot
from services.feedback.store import Memory, Store
from tests.feedback.conftest import OpenStore
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tiercel.errors import InvalidRequest, Unavailable

PAIR = Cell.of_pair("draft", "target", "")
LONG = Memory(half_life_s=1e9)


async def snapshot(store: Store) -> Snapshot:
    found = await store.read()
    assert found is not None
    return found


async def test_what_was_learned_outlives_a_killed_server(redis: RedisServer, open_store: OpenStore):
    store = open_store(redis.url, LONG)
    event = outcome()
    await store.apply([event])
    before = await snapshot(store)
    redis.kill()
    with pytest.raises(Unavailable):
        await store.apply([outcome()])
    with pytest.raises(Unavailable):
        await store.read()
    await redis.start()
    assert await snapshot(store) == before
    assert await store.apply([event]) == [False]


async def test_a_server_that_hangs_does_not_hang_the_caller(
    valkey: RedisServer, open_store: OpenStore
):
    store, hasty = open_store(valkey.url, LONG), open_store(valkey.url, LONG, timeout_s=0.8)
    event = outcome()
    await store.apply([outcome()])
    valkey.send(signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            await hasty.apply([event])
    finally:
        valkey.send(signal.SIGCONT)
    await store.apply([event])  # perhaps a second delivery
    assert (await snapshot(store)).cells[PAIR]["accepted"] == pytest.approx(180, rel=1e-6)


async def test_a_caller_that_goes_away_spoils_no_connection(
    valkey: RedisServer, open_store: OpenStore
):
    store = open_store(valkey.url, LONG)
    for i in range(20):
        task = asyncio.create_task(store.apply([outcome(event_id=f"e{i}")]))
        for _ in range(i):
            await asyncio.sleep(0)
        task.cancel()
    await store.apply([outcome()])
    assert sum(await store.apply([outcome(event_id=f"e{i}") for i in range(20)])) < 20
    assert (await snapshot(store)).version == 21


async def test_neither_errors_nor_logs_show_the_password(
    valkey: RedisServer, open_store: OpenStore, capfd: pytest.CaptureFixture[str]
):
    client = redis.asyncio.Redis(unix_socket_path=str(valkey.socket))
    await client.config_set("requirepass", "right")
    await client.aclose()
    for url in (
        f"unix://user:hunter2@{valkey.socket}",
        "redis://:hunter2@localhost:1/0",
        "rediss://:hunter2@localhost:1/0",
        "redis+sentinel://:hunter2@localhost:1,localhost:1/mymaster",
        "rediss+sentinel://localhost:1/mymaster?sentinel_password=hunter2",
        "redis+cluster://:hunter2@localhost:1",
        "rediss+cluster://:hunter2@localhost:1/0",
    ):
        with pytest.raises(Unavailable) as caught:
            await open_store(url).apply([outcome()])
        assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    output = capfd.readouterr()
    assert "does not answer" in output.out + output.err
    assert "hunter2" not in output.out + output.err


@pytest.mark.parametrize(
    "url",
    [
        "nosuch://:hunter2@host",
        "redis://:hunter2@host:port",
        "redis://:hunter2@[host",
        "redis://:hunter2@host?nosuch=option",
        "redis+nosuch://:hunter2@host",
        "nosuch+cluster://:hunter2@host",
        "redis+sentinel://:hunter2@host",
        "redis+sentinel://:hunter2@host/",
        "redis+sentinel://:hunter2@host/mymaster/first",
        "redis+sentinel://:hunter2@/mymaster",
        "redis+sentinel://:hunter2@host,/mymaster",
        "redis+sentinel://host/mymaster?sentinel_password=hunter2&nosuch=option",
        "redis+cluster://:hunter2@host:port",
        "redis+cluster://:hunter2@host/1",
        "redis+cluster://:hunter2@host?db=1",
        "redis+cluster://:hunter2@host?nosuch=option",
    ],
)
async def test_a_malformed_url_is_refused_and_not_shown(url: str, open_store: OpenStore):
    with pytest.raises(InvalidRequest, match="redis_url") as refused:
        open_store(url)
    assert "hunter2" not in str(refused.value)
