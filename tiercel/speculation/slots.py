"""Admission to a tier: so many sessions at once, the next is refused at once, never queued."""

from collections.abc import Iterator
from contextlib import contextmanager

from tiercel import telemetry
from tiercel.errors import Overloaded


class Slots:
    """Counts the sessions of a tier."""

    def __init__(self, tier: str, most: int) -> None:
        self.most = most
        self.num_taken = 0
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

    def _count(self, step: int) -> None:
        self.num_taken += step
        self._gauge.set(self.num_taken)
