"""Admission to a tier: so many sessions at once, the next is refused at once, never queued."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import exp

from tiercel import telemetry
from tiercel.errors import Overloaded

# What was so many seconds ago weighs 1 / e.
_MEMORY_S = 5.0


class Slots:
    """Counts the sessions of a tier."""

    def __init__(
        self, tier: str, most: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = most
        self.num_taken = 0
        self._clock = clock
        self._mean, self._mean_at = 0.0, clock()
        self._tier = tier
        self._gauge = telemetry.num_sessions.labels(tier)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a slot for the body; raises Overloaded if there is none."""
        if self.num_taken >= self.most:
            raise Overloaded(f"{self._tier} has all {self.most} sessions open")
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    @property
    def mean_taken(self) -> float:
        """How many were taken in the last seconds, on average: answers come and go in waves."""
        self._remember()
        return self._mean

    def _remember(self) -> None:
        now = self._clock()
        kept = exp((self._mean_at - now) / _MEMORY_S)
        self._mean = kept * self._mean + (1 - kept) * self.num_taken
        self._mean_at = now

    def _count(self, step: int) -> None:
        self._remember()
        self.num_taken += step
        self._gauge.set(self.num_taken)
