"""Redis behind Sentinels and as a Cluster: real servers, whose master is killed."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, aclosing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from services.feedback import store_url
from services.feedback.connection import Connection
from services.feedback.operators import Operators
from services.feedback.store import Memory, Store
from tests.feedback.conftest import OpenStore
from tests.feedback.fleets import Cluster, Watched, cluster, watched
from tests.feedback.outcomes import outcome
from tests.feedback.servers import BINARIES
from tiercel.errors import Unavailable

FORMS = {"sentinel": watched, "cluster": cluster}
FOUND = {name: binary for name, binary in BINARIES.items() if binary}
LONG = replace(Memory(), half_life_s=1e300)


@pytest.fixture(scope="module")
def fleets() -> Iterator[dict[tuple[str, str], Future[Watched | Cluster]]]:
    """All of them, started side by side: they mostly wait for each other."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        name = tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(name))
        yield {
            (form, server): pool.submit(start, binary, folder, stack)
            for form, start in FORMS.items()
            for server, binary in FOUND.items()
        }


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BINARIES)
def fleet(
    request: pytest.FixtureRequest,
    form: str,
    fleets: dict[tuple[str, str], Future[Watched | Cluster]],
) -> Watched | Cluster:
    if request.param not in FOUND:
        pytest.skip("no redis-server on this machine")
    return fleets[form, request.param].result()


async def until_taken(store: Store, event_id: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(Unavailable):
                await store.apply([outcome(event_id=event_id)])
                return
            await asyncio.sleep(0.02)


async def hinted(store: Store) -> None:
    """Wait for a hint while events come in."""
    hints: AsyncGenerator[None, None]
    async with asyncio.timeout(60), aclosing(store.hints()) as hints:
        hint = asyncio.ensure_future(anext(hints))
        number = 0
        while not hint.done():
            await until_taken(store, f"hinted {number}")
            number += 1
            await asyncio.sleep(0.02)
        await hint


async def test_when_the_master_is_killed_learning_goes_on_with_what_was_learned(
    fleet: Watched | Cluster, open_store: OpenStore
):
    store, other = [open_store(fleet.url, LONG) for _ in range(2)]
    assert await store.apply([outcome(event_id=name) for name in "abc"]) == [True] * 3
    assert await other.apply([outcome(event_id=name) for name in "cd"]) == [False, True]
    await hinted(store)
    before = await store.read()
    await asyncio.to_thread(fleet.replicated)
    await asyncio.to_thread(fleet.fail_over)
    await until_taken(store, "e")
    await until_taken(other, "f")
    after = await store.read()
    assert before is not None and after is not None
    assert (after.epoch, after.version) == (before.epoch, before.version + 2)
    assert await store.apply([outcome(event_id=name) for name in "abcdef"]) == [False] * 6
    await hinted(other)


async def test_operators_do_what_they_do_elsewhere(fleet: Watched | Cluster):
    connection = Connection(fleet.url, namespace="another", timeout_s=30.0)
    operators = Operators(connection)
    try:
        version = await operators.freeze(frozen=True, author="me", reason="")
        assert [change.version for change in await operators.history(1)] == [version]
        assert len([line async for line in operators.export()]) == 1
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("url", "tls"),
    [
        ("redis+sentinel://ann:p%40ss@one,two:26380/mymaster/3?sentinel_password=other", False),
        ("rediss+sentinel://ann:p%40ss@one,two:26380/mymaster?db=3&sentinel_password=other", True),
    ],
)
async def test_what_a_url_of_sentinels_says(url: str, tls: bool):
    client = store_url.connect(url, 1.0)
    pool = client.connection_pool
    said = pool.connection_kwargs
    assert (said["username"], said["password"], said["db"]) == ("ann", "p@ss", 3)
    assert (pool.service_name, "SSL" in pool.connection_class.__name__) == ("mymaster", tls)
    asked = [one.connection_pool for one in pool.sentinel_manager.sentinels]
    where = [(one.connection_kwargs["host"], one.connection_kwargs["port"]) for one in asked]
    assert where == [("one", 26379), ("two", 26380)]
    assert {one.connection_kwargs["password"] for one in asked} == {"other"}
    assert {"SSL" in one.connection_class.__name__ for one in asked} == {tls}
    await store_url.close(client)


@pytest.mark.parametrize("scheme", ["redis+cluster", "rediss+cluster"])
async def test_what_a_url_of_a_cluster_says(scheme: str):
    client = store_url.connect(f"{scheme}://ann:p%40ss@one,[::1]:7000/0", 1.0)
    nodes = list(client.startup_nodes)
    assert [(node.host, node.port) for node in nodes] == [("one", 6379), ("::1", 7000)]
    for node in nodes:
        assert node.connection_kwargs["password"] == "p@ss"
        assert ("SSL" in node.connection_class.__name__) == scheme.startswith("rediss")
    await store_url.close(client)
