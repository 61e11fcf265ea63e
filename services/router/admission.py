"""Who may be answered now: so many at once, so many waiting, the rest turned away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.router import metrics
from tiercel.errors import DeadlineExceeded, Overloaded

_MIN_RETRY_S, _MAX_RETRY_S = 0.1, 30.0
# Weight of the newest request in the running mean of how long one takes.
_RECENCY = 0.2


class Admission:
    """A bounded queue, first come, first served, before a bounded number of places."""

    def __init__(self, *, max_concurrent: int, max_queued: int, max_wait_s: float) -> None:
        self._places = asyncio.Semaphore(max_concurrent)
        self._max_concurrent = max_concurrent
        self._max_queued = max_queued
        self._max_wait_s = max_wait_s
        self._num_queued = 0
        self._mean_s = 1.0

    @property
    def is_full(self) -> bool:
        """Whether requests wait for a place."""
        return self._num_queued > 0

    @asynccontextmanager
    async def place(self, deadline: float) -> AsyncIterator[None]:
        """Hold a place; `deadline` on the event loop's clock.

        Raises Overloaded if the queue is full or the wait too long, DeadlineExceeded if there is
        no time left.
        """
        await self._enter(deadline)
        start = time.monotonic()
        try:
            yield
        finally:
            self._places.release()
            self._mean_s += _RECENCY * (time.monotonic() - start - self._mean_s)

    async def _enter(self, deadline: float) -> None:
        if self._places.locked() and self._num_queued >= self._max_queued:
            raise Overloaded("the router's queue is full", self._retry_after_s())
        self._count(1)
        left = deadline - time.monotonic()
        try:
            async with asyncio.timeout(min(left, self._max_wait_s)):
                await self._places.acquire()
        except TimeoutError:
            if left <= self._max_wait_s:
                raise DeadlineExceeded("the deadline passed in the router's queue") from None
            raise Overloaded("no place within the longest wait", self._retry_after_s()) from None
        finally:
            self._count(-1)

    def _retry_after_s(self) -> float:
        expected = self._mean_s * (self._num_queued + 1) / self._max_concurrent
        return min(max(expected, _MIN_RETRY_S), _MAX_RETRY_S)

    def _count(self, change: int) -> None:
        self._num_queued += change
        metrics.num_queued.inc(change)
