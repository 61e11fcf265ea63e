"""The embedded server: its own folder, back after a crash, gone when its service is, however."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis.asyncio

from services.feedback import embedded
from services.feedback.connection import Connection
from services.feedback.store import Memory, Store
from tests.feedback.outcomes import outcome
from tiercel.errors import InvalidRequest, Unavailable


def servers_in(folder: Path) -> list[int]:
    """Return the ids of the processes whose command line names the folder's socket."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            # Valkey rewrites its command line as a title that ends with the socket.
            if b"valkey" in words[0] and any(os.fsencode(folder) in word for word in words):
                found.append(int(entry.name))
    return found


async def gone(folder: Path) -> bool:
    for _ in range(6000):
        if not servers_in(folder):
            return True
        await asyncio.sleep(0.01)
    return False


@contextmanager
def service(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A feedback service as a process of its own, ready."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "services.feedback", "--address", "localhost:0"),
            *("--data-dir", str(folder), "--log-json"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stderr
    try:
        assert any('"ready"' in line for line in process.stderr)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


async def test_what_was_learned_is_there_at_the_next_start(folder: Path):
    for expected in (True, False):
        async with embedded.running(folder) as url:
            assert len(servers_in(folder)) == 1
            connection = Connection(url, namespace="test", timeout_s=30.0)
            store = Store(connection, Memory())
            assert await store.apply([outcome(event_id="once")]) == [expected]
            await connection.close()
        assert servers_in(folder) == []


async def test_a_killed_server_comes_back_with_its_data(folder: Path):
    async with embedded.running(folder) as url:
        connection = Connection(url, namespace="test", timeout_s=30.0)
        store = Store(connection, Memory())
        await store.apply([outcome(event_id="once")])
        assert await connection.client.execute_command("WAITAOF", 1, 0, 0) == [1, 0]
        [first] = servers_in(folder)
        os.kill(first, signal.SIGKILL)
        while True:
            try:
                assert await store.apply([outcome(event_id="once")]) == [False]
                break
            except Unavailable:
                await asyncio.sleep(0.02)
        assert first not in servers_in(folder)
        await connection.close()
    assert servers_in(folder) == []


async def test_a_full_server_forgets_marks_of_events_and_goes_on_learning(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(embedded, "_MAX_MEMORY", "8mb")
    async with embedded.running(folder) as url:
        connection = Connection(url, namespace="test", timeout_s=30.0)
        store = Store(connection, Memory())
        await store.apply([outcome(event_id="once")])
        for number in range(10):
            await connection.client.set(f"mark {number}", "x" * 1_000_000, px=100_000_000)
        assert await store.apply([outcome(event_id="another")]) == [True]
        snapshot = await store.read()
        assert snapshot is not None and snapshot.version == 2
        await connection.close()


async def test_a_folder_serves_one_server_at_a_time(folder: Path):
    async with embedded.running(folder):
        with pytest.raises(InvalidRequest, match="data_dir"):
            async with embedded.running(folder):
                pass
        assert len(servers_in(folder)) == 1
    async with embedded.running(folder):
        pass


async def test_without_a_folder_the_second_server_takes_a_temporary_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Path, "home", lambda: folder)
    async with embedded.running() as first, embedded.running() as second:
        assert first != second
        for url in (first, second):
            async with redis.asyncio.from_url(url) as client:
                assert await client.ping()
        assert str(folder) in first
        temporary = Path(second.removeprefix("unix://")).parent
        assert str(folder) not in second
    assert not temporary.exists()


async def test_a_long_path_has_its_socket_elsewhere(folder: Path):
    deep = folder / ("d" * 120)
    async with embedded.running(deep) as url, redis.asyncio.from_url(url) as client:
        assert await client.ping()
    assert any(deep.glob("appendonlydir/*"))


async def test_a_server_that_cannot_start_is_an_error_with_its_log(folder: Path):
    (folder / "appendonlydir").touch()
    with pytest.raises(Unavailable, match=r"valkey\.log"):
        async with embedded.running(folder):
            pass
    assert servers_in(folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_no_server_is_left_behind_by_a_service_that_ends(
    folder: Path, number: signal.Signals
):
    with service(folder) as process:
        assert len(servers_in(folder)) == 1
        process.send_signal(number)
        assert process.wait() == (-number if number == signal.SIGKILL else 0)
    assert await gone(folder)


async def test_a_plain_child_would_be_left_behind(folder: Path):
    """The test above can fail: without the parent-death signal a killed parent leaves its child."""
    binary = embedded.get_binary_path()
    code = (
        "import subprocess, os, signal\n"
        f"subprocess.Popen([{str(binary)!r}, '--port', '0', '--dir', {str(folder)!r},"
        f" '--unixsocket', {str(folder / 'valkey.sock')!r}], stdout=subprocess.DEVNULL)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code])
    while not (left := servers_in(folder)):  # it may not be the server yet
        await asyncio.sleep(0.02)
    assert len(left) == 1
    os.kill(left[0], signal.SIGKILL)
