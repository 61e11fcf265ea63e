"""The other ranks of a tensor-parallel model, as processes that rank 0 starts and leads.

What a pass consists of goes to each of them through a pipe, which may stay silent for as long as
nobody asks anything, and whose end tells a follower that rank 0 is gone. Only sums and joins within
a pass go through torch.distributed. A follower that ends is noticed at once, whatever rank 0 does.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event, Lock, Thread
from typing import IO, Any, TypeVar

import structlog
from torch import distributed

from tiercel.engines.torch_passes import Layout
from tiercel.engines.torch_rank import RankSettings
from tiercel.engines.torch_ranks import meet, opened_store
from tiercel.errors import InvalidRequest, ModelUnavailable, Unavailable

T = TypeVar("T")

log = structlog.get_logger(__name__)

_NOTICE_S = 5.0  # between a broken connection and the end of the process behind it
_END_S = 5.0


class Followers:
    """Ranks 1 to `num_ranks` - 1 of one model. A process leads one such model at a time."""

    def __init__(self, model: Path, settings: RankSettings, on_lost: Callable[[str], None]) -> None:
        """Start the processes; they load their shares meanwhile. `on_lost` is told a reason."""
        if distributed.is_initialized():
            raise InvalidRequest(
                "tensor_parallel", settings.num_ranks, "this process leads a model already"
            )
        self._settings, self._on_lost = settings, on_lost
        self._lost = ""
        self._ended, self._joined, self._closing = Event(), Event(), Event()
        self._lock = Lock()
        self._processes = [_started(model, settings, r) for r in range(1, settings.num_ranks)]
        for rank, process in enumerate(self._processes, start=1):
            Thread(target=self._watch, args=(rank, process), daemon=True).start()

    @property
    def most_cache_tokens(self) -> list[int | None]:
        """How many tokens' caches fit beside the weights of each; waits until they are loaded."""
        return [self._report(rank)["most_cache_tokens"] for rank in range(1, self._num_ranks)]

    @property
    def process_ids(self) -> list[int]:
        """The followers' process ids, by rank."""
        return [process.pid for process in self._processes]

    def join(self, *, cache_tokens: int) -> None:
        """Connect all ranks; their caches hold so many tokens. Raises ModelUnavailable."""
        store = opened_store(self._num_ranks)
        try:
            self._send({"port": store.port, "cache_tokens": cache_tokens})
            meet(store, 0, self._num_ranks, self._settings.device_of(0).type)
        except (OSError, RuntimeError) as error:
            raise ModelUnavailable(self._reason(error)) from error
        self._joined.set()

    def lead(self, layout: Layout, steadily: bool, run: Callable[[], T]) -> T:
        """Have every rank run a pass; raises Unavailable, now and ever after, if one is gone."""
        if self._lost:
            raise Unavailable(self._lost)
        order = {
            "shape": asdict(layout.shape),
            "steadily": steadily,
            "num_bytes": layout.integers.nbytes,
        }
        try:
            self._send(order, layout.integers.tobytes())
            return run()
        except (OSError, RuntimeError) as error:
            self._lose(self._reason(error))
            raise Unavailable(self._lost) from error

    def close(self) -> None:
        """End the processes."""
        self._closing.set()
        deadline = time.monotonic() + _END_S
        for process in self._processes:
            with suppress(OSError):
                _pipe(process.stdin).close()
        for process in self._processes:
            try:
                process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _pipe(process.stdout).close()
        if distributed.is_initialized():
            distributed.destroy_process_group()

    @property
    def _num_ranks(self) -> int:
        return self._settings.num_ranks

    def _send(self, order: dict[str, Any], integers: bytes = b"") -> None:
        message = json.dumps(order).encode() + b"\n" + integers
        for process in self._processes:
            _pipe(process.stdin).write(message)
            _pipe(process.stdin).flush()

    def _report(self, rank: int) -> dict[str, Any]:
        process = self._processes[rank - 1]
        line = _pipe(process.stdout).readline()
        if not line:
            raise ModelUnavailable(f"{self._name(rank)} ended with status {process.wait()}")
        report: dict[str, Any] = json.loads(line)
        if "error" in report:
            raise ModelUnavailable(f"{self._name(rank)}: {report['error']}")
        return report

    def _watch(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if not self._closing.is_set():
            self._lose(f"{self._name(rank)} ended with status {status}")
            self._ended.set()

    def _lose(self, reason: str) -> None:
        with self._lock:
            first, self._lost = not self._lost, self._lost or reason
        if first and self._joined.is_set():
            self._on_lost(reason)

    def _reason(self, error: Exception) -> str:
        """Return why the ranks are no longer together: the end of one, once it is noticed."""
        self._ended.wait(_NOTICE_S)
        return self._lost or f"the ranks lost each other: {str(error).splitlines()[0]}"

    def _name(self, rank: int) -> str:
        return f"rank {rank} of {self._num_ranks}"


def end_process(reason: str) -> None:
    """End this process as if it were killed: a pass on the GPU may wait for the lost rank forever.

    Callers see a dead server, which is what they are prepared for.
    """
    log.critical("a rank is lost, and the tier with it", reason=reason)
    os._exit(1)


def _started(model: Path, settings: RankSettings, rank: int) -> subprocess.Popen[bytes]:
    told = json.dumps({"model": str(model), "rank": rank, "settings": asdict(settings)})
    return subprocess.Popen(
        [sys.executable, "-m", "tiercel.engines.torch_follower", told],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # an interrupt from the terminal is rank 0's to handle
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
