"""One supervised process: it is started again when it dies, unless it dies again and again."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import STDOUT, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tiercel.config import inherited
from tiercel.errors import TiercelError

QUICK_S = 10.0
MAX_QUICK_DEATHS = 5
# Of a process that refused its settings: the same ones will not be better next time.
BAD_SETTINGS = 2
_FIRST_DELAY_S, _MAX_DELAY_S = 0.25, 8.0
_MAX_LINE_BYTES = 1 << 20
# Waits for the word that the guard knows the process, and becomes the command; a parent that dies
# in between closes the pipe, and the command never runs.
_WAIT_THEN_RUN = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")


class SupervisorError(TiercelError):
    """The processes cannot be started, or one of them does not stay up."""


class Groups(Protocol):
    """Whoever ends process groups if this process dies."""

    def add(self, group: int) -> None:
        """Take a group on."""

    def remove(self, group: int) -> None:
        """Forget a group."""


@dataclass(frozen=True)
class ChildSpec:
    """A process to run, the host:port that it will listen on, and what its environment adds."""

    name: str
    command: tuple[str, ...]
    address: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """Runs one command for as long as it is wanted; `on_line` gets (name, line) of its output."""

    def __init__(
        self, spec: ChildSpec, groups: Groups, on_line: Callable[[str, str], None]
    ) -> None:
        self.spec = spec
        self._groups = groups
        self._on_line = on_line
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._last_line = ""

    @property
    def pid(self) -> int | None:
        """The process that runs now, or None."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Keep the process up until `stop`; raises SupervisorError when it does not stay up."""
        num_quick = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            status = await self._live()
            if self._stopping.is_set():
                return
            num_quick = num_quick + 1 if time.monotonic() - started < QUICK_S else 1
            if status == BAD_SETTINGS or num_quick >= MAX_QUICK_DEATHS:
                raise SupervisorError(self._obituary(status, num_quick))
            await self._pause(status, min(_FIRST_DELAY_S * 2**num_quick, _MAX_DELAY_S))

    async def stop(self, grace_s: float) -> None:
        """SIGTERM; after the grace, SIGKILL for all that is left of the process group."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process takes no SIGTERM
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            self._on_line(self.spec.name, f"did not end in {grace_s:g} s: killed")
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL for the process group, at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _live(self) -> int:
        """Run the process once, to its end; return its status."""
        pipes = _Pipes()
        process = self._process = await pipes.start(self.spec)
        relay = asyncio.create_task(self._relay(await pipes.output()))
        try:
            self._groups.add(process.pid)
            if not self._stopping.is_set():
                pipes.let_go()
                await process.wait()
            return process.returncode or 0
        finally:
            self._signal(signal.SIGKILL)  # what the process started and did not end
            await self._last_words(relay)
            pipes.close()
            self._groups.remove(process.pid)
            self._process = None

    async def _relay(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # a line beyond the limit; the reader has dropped it
                continue
            if not line:
                return
            self._last_line = line.decode(errors="replace").rstrip()
            self._on_line(self.spec.name, self._last_line)

    async def _last_words(self, relay: "asyncio.Task[None]") -> None:
        done, _ = await asyncio.wait([relay], timeout=1.0)
        relay.cancel()
        for task in done:
            task.result()

    async def _pause(self, status: int, delay_s: float) -> None:
        self._on_line(self.spec.name, f"{_ended(status)}; starts again in {delay_s:g} s")
        try:
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _obituary(self, status: int, num_quick: int) -> str:
        times = f", {num_quick} times in a row" if num_quick > 1 else ""
        words = f": {self._last_line}" if self._last_line else ""
        return f"{self.spec.name} {_ended(status)}{times}{words}"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            if number is signal.SIGTERM:
                self._process.send_signal(number)  # the leader ends its own in good order
            else:
                os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


class _Pipes:
    """A process's stdin, for one word, and its output.

    They are not asyncio's own, whose `wait` lasts until every process that inherited the output
    has closed it.
    """

    def __init__(self) -> None:
        self._stdin, self._word = os.pipe()
        output, self._stdout = os.pipe()
        self._output = os.fdopen(output, "rb")
        self._transport: asyncio.BaseTransport | None = None

    async def start(self, spec: ChildSpec) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                *_WAIT_THEN_RUN,
                *spec.command,
                env=inherited(spec.environment),
                stdin=self._stdin,
                stdout=self._stdout,
                stderr=STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(self._stdin)
            os.close(self._stdout)

    async def output(self) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(limit=_MAX_LINE_BYTES)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._output
        )
        return reader

    def let_go(self) -> None:
        with suppress(BrokenPipeError):  # killed already
            os.write(self._word, b"go\n")

    def close(self) -> None:
        os.close(self._word)
        if self._transport is not None:
            self._transport.close()


def _ended(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
