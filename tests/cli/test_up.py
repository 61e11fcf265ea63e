"""`tiercel up` with real services on a tiny model: it repairs, and it leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.processes import PATIENCE_S, alive, command_of, descendants_of, until
from tiercel.cli.supervisor import ports


class Up:
    """A running `tiercel up`, by its process."""

    def __init__(self, process: subprocess.Popen[str], router: str) -> None:
        self.process = process
        self._router = router

    def wait_ready(self) -> None:
        """Read until the ready line; pytest's own limit bounds the wait."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "services" in json.loads(line):
                return
        raise AssertionError(f"no ready line; {self.process.stderr.read()}")

    def processes(self) -> dict[int, str]:
        return {pid: command_of(pid) for pid in descendants_of(self.process.pid)}

    def pid_of(self, words: str) -> int:
        return next(pid for pid, command in self.processes().items() if words in command)

    def answer(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tiercel.cli", "generate", "hello there", *arguments]
        command += ["--max-new-tokens", "24", "--router", self._router]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the status and what was said on standard error."""
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, errors


@contextmanager
def up(config: Path) -> Iterator[Up]:
    router = config.read_text().split('router = { address = "')[1].split('"')[0]
    process = subprocess.Popen(
        [sys.executable, "-m", "tiercel.cli", "up", "--config", str(config), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with process:
            yield Up(process, router)
    finally:
        process.kill()


async def test_a_killed_tier_comes_back_and_ctrl_c_leaves_nothing_behind(config: Path):
    with up(config) as running:
        running.wait_ready()
        processes = running.processes()
        named = [sum(f"services.{name}" in command for command in processes.values())
                 for name in ("feedback", "verifier", "router")]  # fmt: skip
        assert named == [1, 2, 1]
        assert any("valkey" in command for command in processes.values())
        before = running.answer()
        target = running.pid_of("services.verifier")
        os.kill(target, signal.SIGKILL)
        await until(lambda: not alive(target), "the tier is gone")
        await until(lambda: len(running.processes()) == len(processes), "the tier is back")
        assert running.answer() == before
        everything = [*processes, *running.processes()]
        running.process.send_signal(signal.SIGINT)
        status, errors = running.end()
    assert status == 0
    assert errors.endswith("stopped, no process is left\n")
    assert not any(alive(pid) for pid in everything)


@pytest.mark.parametrize("stopped", ["", "services.router", "services.feedback"])
async def test_a_killed_up_leaves_nothing_behind(config: Path, stopped: str):
    with up(config) as running:
        running.wait_ready()
        everything = list(running.processes())
        assert len(everything) == 6, running.processes()  # four services, Valkey and the keeper
        if stopped:
            os.kill(running.pid_of(stopped), signal.SIGSTOP)
        running.process.kill()
        await until(lambda: not any(alive(pid) for pid in everything), "the keeper ends them")


async def test_ctrl_c_before_the_services_are_ready_leaves_nothing_behind(config: Path):
    with up(config) as running:
        await until(lambda: len(running.processes()) >= 5, "all are started")
        everything = list(running.processes())
        running.process.send_signal(signal.SIGTERM)
        status, errors = running.end()
    assert status == 0, errors
    assert not any(alive(pid) for pid in everything)


def test_a_port_in_use_is_one_line(config: Path):
    address = config.read_text().split('feedback = { address = "')[1].split('"')[0]
    _, port = ports.split(address)
    with socket.create_server(("127.0.0.1", port)), up(config) as running:
        status, errors = running.end()
    assert status == 1
    assert errors.splitlines() == [
        f"tiercel: already in use: {address} (feedback); is another `tiercel up` running?"
    ]


@pytest.mark.parametrize("setting", ["threads = -1", "thread = 1"])
def test_a_setting_that_a_service_refuses_ends_everything_with_its_line(config: Path, setting: str):
    text = config.read_text().replace("threads = 1", setting)
    config.write_text(text)
    with up(config) as running:
        status, errors = running.end()
    assert status == 1
    assert "ended with status 2: TIERCEL_THREAD" in errors.splitlines()[-1]
