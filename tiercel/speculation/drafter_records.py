"""What each drafter did for one tier of late, over all its requests: pure, time is an argument."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tiercel.descriptions import DrafterRecord
from tiercel.draft_stream import Judgement

# Judged tokens count for half after so many seconds.
_HALF_LIFE_S = 30.0
# A block moves the times by so much.
_NEWEST = 0.1


@dataclass
class _Sums:
    at: float
    accepted: float = 0.0
    rejected: float = 0.0
    latency_s: float = 0.0
    token_s: float = 0.0

    def fade(self, now: float) -> None:
        """Let judged tokens count for less."""
        kept = 0.5 ** ((now - self.at) / _HALF_LIFE_S)
        self.accepted, self.rejected, self.at = self.accepted * kept, self.rejected * kept, now


class DrafterRecords:
    """Faded sums by a drafter's name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sums: dict[str, _Sums] = {}

    def judged(self, drafter: str, judgement: Judgement) -> None:
        """Take in what became of a block."""
        sums = self._of(drafter)
        sums.accepted += judgement.num_accepted
        sums.rejected += judgement.num_rejected

    def drafted(self, drafter: str, num_tokens: int, compute_s: float, latency_s: float) -> None:
        """Take in a block that came `latency_s` after it was asked for."""
        sums = self._of(drafter)
        sums.latency_s = _moved(sums.latency_s, latency_s)
        sums.token_s = _moved(sums.token_s, compute_s / num_tokens)

    def all(self) -> tuple[DrafterRecord, ...]:
        """Return what is known now, by name."""
        return tuple(
            DrafterRecord(name, sums.accepted, sums.rejected, sums.latency_s, sums.token_s)
            for name in sorted(self._sums)
            for sums in [self._of(name)]
        )

    def _of(self, drafter: str) -> _Sums:
        now = self._clock()
        sums = self._sums.setdefault(drafter, _Sums(now))
        sums.fade(now)
        return sums


def _moved(known: float, seen: float) -> float:
    return known + _NEWEST * (seen - known) if known else seen
