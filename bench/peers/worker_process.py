"""A worker as its parent sees it: started, asked one question at a time, ended."""

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bench.concurrency.wave import Wave
from bench.peers.environment import (
    REPOSITORY,
    PeerUnavailableError,
    last_line,
    surroundings,
)
from bench.peers.workers.pipe import Question

_GRACE_S = 20.0


class WorkerProcess:
    """Runs for as long as the context lasts; entering waits until it is ready."""

    def __init__(self, command: Sequence[str], *, ready_s: float = 600.0) -> None:
        self._command = list(command)
        self._ready_s = ready_s
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.about: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._errors = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self._process = subprocess.Popen(
            self._command,
            cwd=REPOSITORY,
            env=surroundings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdin and self._process.stdout
        self._questions = self._process.stdin
        output = self._process.stdout
        self._reading = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reading.start()
        try:
            self.about = self._next(self._ready_s)["ready"]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def ask(self, question: Question | Wave, timeout_s: float = 300.0) -> dict[str, Any]:
        """Return the worker's line; raises PeerUnavailableError if it fails, dies or is late."""
        try:
            self._questions.write(json.dumps(asdict(question)) + "\n")
            self._questions.flush()
        except OSError:
            raise PeerUnavailableError(self._obituary()) from None
        return self._next(timeout_s)

    def _next(self, timeout_s: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            self._process.kill()
            raise PeerUnavailableError(f"no answer in {timeout_s:g} s") from None
        if not line:
            raise PeerUnavailableError(self._obituary())
        message: dict[str, Any] = json.loads(line)
        if "failed" in message:
            raise PeerUnavailableError(message["failed"])
        return message

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def _obituary(self) -> str:
        status = self._process.wait()
        return f"ended with {status}: {last_line(Path(self._errors.name).read_text())}"

    def _end(self) -> None:
        """Close its questions, which ends it; kill it if that does not."""
        with suppress(BrokenPipeError):
            self._questions.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join(_GRACE_S)
        self._errors.close()
