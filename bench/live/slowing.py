"""Slows a running process down for real: it is stopped and continued in turns (SIGSTOP, SIGCONT).

    python -m bench.live.slowing FACTOR PID...

lets the processes run for 1 / FACTOR of the time until standard input ends, then lets them run
freely. All their threads stop together. What waits for them meanwhile waits, too: that is part of
being slow.
"""

import asyncio
import os
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

RUNS_S = 0.002  # shorter than a pass of the smallest model, so that short work is slowed as well


def alternate(
    factor: float,
    stop: Callable[[], None],
    go: Callable[[], None],
    wait: Callable[[float], bool],
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Call stop and go in turns until `wait(seconds)` says that it is over; `go` comes last.

    Stopped time is in the end (factor - 1) times running time, however long waits really take.
    """
    running = stopped = 0.0
    is_over = False
    while not is_over:
        began = clock()
        is_over = wait(RUNS_S)
        running += clock() - began
        owed = (factor - 1) * running - stopped
        if owed <= 0 or is_over:
            continue
        stop()
        began = clock()
        try:
            is_over = wait(owed)
        finally:
            stopped += clock() - began
            go()


@asynccontextmanager
async def slowed(pids: Sequence[int], factor: float) -> AsyncIterator[None]:
    """Slow processes down while the body runs; they run freely again whatever happens to us."""
    words = (str(factor), *map(str, pids))
    command = (sys.executable, "-m", "bench.live.slowing", *words)
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def main(factor: float, pids: Sequence[int]) -> None:
    """Slow processes down until standard input ends, or one of them does."""

    def tell(number: signal.Signals) -> None:
        for pid in pids:
            os.kill(pid, number)

    def is_over(seconds: float) -> bool:
        return bool(select.select([sys.stdin], [], [], seconds)[0])

    with suppress(ProcessLookupError):
        alternate(factor, lambda: tell(signal.SIGSTOP), lambda: tell(signal.SIGCONT), is_over)


if __name__ == "__main__":
    main(float(sys.argv[1]), [int(word) for word in sys.argv[2:]])
