"""The supervisor with simple real processes: restarts, order, and nothing left behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import PATIENCE_S, alive, children_of, command_of, until
from tiercel.cli.supervisor import ChildSpec, Supervisor, SupervisorError, child, ports

# Listens on its address, has a child of its own, says who it is, and ends at SIGTERM.
SERVICE = """
import signal, socket, subprocess, sys
port, log, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def leave(*_):
    with open(log, "a") as file:
        print(name, file=file)
    child.kill(); child.wait()
    sys.exit(0)
child = subprocess.Popen(["sleep", "600"])
signal.signal(signal.SIGTERM, leave)
listening = socket.create_server(("127.0.0.1", port))
print("child", child.pid, flush=True)
while True:
    connection, _ = listening.accept()
    connection.close()
"""

SLEEPY = "import time; print('asleep', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPY}"


async def answers(address: str) -> bool:
    host, port = ports.split(address)
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def at_once(_: str) -> bool:
    return True


class Site:
    """Two services on free ports, and what they print."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "left"
        self.lines: list[tuple[str, str]] = []
        self.specs = [
            ChildSpec(
                name,
                (sys.executable, "-c", SERVICE, str(port), str(self.log), name),
                f"127.0.0.1:{port}",
            )
            for name, port in zip(("tier", "router"), ports.free_ports(2), strict=True)
        ]

    def supervisor(self, **options) -> Supervisor:
        return Supervisor(
            self.specs, is_ready=answers, on_line=lambda *line: self.lines.append(line), **options
        )

    def grandchildren(self) -> list[int]:
        return [int(line.split()[1]) for _, line in self.lines if line.startswith("child")]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_services_come_up_and_leave_in_reverse_order(site: Site):
    async with site.supervisor() as supervisor:
        await supervisor.wait_ready(PATIENCE_S)
        pids = [child.pid for child in supervisor.children.values()]
        assert all(alive(pid) for pid in pids)
    assert site.log.read_text().split() == ["router", "tier"]
    assert not any(alive(pid) for pid in [*pids, *site.grandchildren()])


async def test_a_killed_service_is_started_again_and_its_own_children_are_not_left(site: Site):
    async with site.supervisor() as supervisor:
        await supervisor.wait_ready(PATIENCE_S)
        tier = supervisor.children["tier"]
        first = tier.pid
        orphans = site.grandchildren()
        os.kill(first, signal.SIGKILL)
        await until(lambda: tier.pid not in (None, first), "started again")
        await supervisor.wait_ready(PATIENCE_S)
        assert ("tier", "was killed by SIGKILL; starts again in 0.5 s") in site.lines
        assert sum(alive(pid) for pid in orphans) == 1  # the router's


async def test_a_service_that_keeps_dying_is_given_up_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(child, "_FIRST_DELAY_S", 0.01)
    dying = ChildSpec("tier", (sys.executable, "-c", "import sys; sys.exit('no such model')"))
    supervisor = Supervisor([dying], is_ready=at_once, on_line=lambda *_: None)
    async with supervisor:
        with pytest.raises(
            SupervisorError, match=r"^tier ended with status 1, 5 times in a row: no"
        ):
            await supervisor.attend(asyncio.sleep(PATIENCE_S))


async def test_a_service_that_refuses_its_settings_is_not_started_again():
    dying = ChildSpec("tier", (sys.executable, "-c", "import sys; print('bad x'); sys.exit(2)"))
    lines: list[tuple[str, str]] = []
    supervisor = Supervisor([dying], is_ready=at_once, on_line=lambda *line: lines.append(line))
    async with supervisor:
        with pytest.raises(SupervisorError, match=r"^tier ended with status 2: bad x$"):
            await supervisor.attend(asyncio.sleep(PATIENCE_S))
    assert lines == [("tier", "bad x")]


async def test_a_service_that_is_never_ready_is_named(site: Site):
    silent = ChildSpec(
        "mute", (sys.executable, "-c", "import time; time.sleep(600)"), "127.0.0.1:9"
    )
    site.specs.append(silent)
    async with site.supervisor() as supervisor:
        for spec in site.specs[:2]:
            while not await answers(spec.address):
                await asyncio.sleep(0.02)
        with pytest.raises(SupervisorError, match=r"^not ready after 2 s: mute$"):
            await supervisor.wait_ready(2.0)


async def test_a_port_in_use_is_one_clear_line(site: Site):
    _, port = ports.split(site.specs[0].address)
    busy = rf"already in use: 127.0.0.1:{port} \(tier\)"
    with socket.create_server(("127.0.0.1", port)), pytest.raises(SupervisorError, match=busy):
        await site.supervisor().__aenter__()
    assert site.lines == []


async def test_a_service_that_ignores_sigterm_is_killed_after_the_grace():
    lines: list[tuple[str, str]] = []
    stubborn = ChildSpec("tier", (sys.executable, "-c", f"{STUBBORN}"))
    supervisor = Supervisor(
        [stubborn], is_ready=at_once, on_line=lambda *line: lines.append(line), grace_s=0.5
    )
    async with supervisor:
        await until(lambda: lines == [("tier", "asleep")], "SIGTERM is ignored by now")
        pid = supervisor.children["tier"].pid
    assert not alive(pid)
    assert lines[1:] == [("tier", "did not end in 0.5 s: killed")]


async def test_a_stopped_service_still_ends(site: Site):
    async with site.supervisor() as supervisor:
        await supervisor.wait_ready(PATIENCE_S)
        pid = supervisor.children["tier"].pid
        os.kill(pid, signal.SIGSTOP)
    assert not alive(pid)
    assert site.log.read_text().split() == ["router", "tier"]


OWNER = """
import asyncio, sys
from tiercel.cli.supervisor import ChildSpec, Supervisor
async def ready(_): return True
async def main():
    specs = [ChildSpec(n, (sys.executable, "-c", sys.argv[1])) for n in "ab"]
    lines = []
    on_line = lambda *line: lines.append(line)
    async with Supervisor(specs, is_ready=ready, on_line=on_line, grace_s=1.0) as supervisor:
        while len(lines) < 2:
            await asyncio.sleep(0.02)
        print("pids", *[c.pid for c in supervisor.children.values()], flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("program", [SLEEPY, STUBBORN], ids=["willing", "stubborn"])
async def test_nothing_outlives_a_supervisor_that_is_killed(program: str):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, program], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    with owner:
        line = next(line for line in owner.stdout if line.startswith("pids"))
        pids = [int(word) for word in line.split()[1:]]
        assert all(alive(pid) for pid in pids)
        owner.kill()
    await until(lambda: not any(alive(pid) for pid in pids), "the keeper ends them")


async def test_a_killed_keeper_is_replaced(site: Site):
    async with site.supervisor() as supervisor:
        await supervisor.wait_ready(PATIENCE_S)
        [keeper] = [pid for pid in children_of(os.getpid()) if "keeper.py" in command_of(pid)]
        os.kill(keeper, signal.SIGKILL)
        tier = supervisor.children["tier"]
        first = tier.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: tier.pid not in (None, first), "started again")
        await supervisor.wait_ready(PATIENCE_S)
