"""What is worked out from measurements, and worked out anew when they may have moved on."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

_FRESH_S = 0.1
_MOST = 4096


class Fresh(Generic[T]):
    """Keeps results by their key for a tenth of a second."""

    def __init__(self, fresh_s: float = _FRESH_S) -> None:
        self._fresh_s = fresh_s
        self._known: dict[Hashable, T] = {}
        self._known_at = float("-inf")

    def of(self, key: Hashable, work_out: Callable[[], T]) -> T:
        """Return what is known by this key, or work it out."""
        now = time.monotonic()
        if now - self._known_at > self._fresh_s or len(self._known) > _MOST:
            self._known.clear()
            self._known_at = now
        if key not in self._known:
            self._known[key] = work_out()
        return self._known[key]
