"""When old ratings are to be dropped: bets that a mean has moved, and what came since it did.

The store bets by itself, in `services/feedback/lua/restart.lua`; this is the same for replays,
which have no store. A test holds the two against each other.
"""

from dataclasses import dataclass, field
from math import sqrt

from tiercel.evaluation.learning.learner import Clock

STAKE = 0.9
LEAST_TOLERANCE = 0.02
DEVIATION = 0.5  # of scores in [0, 1], at most
_SIDES = (1.0, -1.0)


def tolerance_of(number: float) -> float:
    """Return how far the mean of so many scores may be off by chance: its standard error."""
    return max(LEAST_TOLERANCE, DEVIATION / sqrt(number))


@dataclass
class Faded:
    """A number of things and a sum over them; what came a half-life ago weighs half."""

    number: float = 0.0
    total: float = 0.0
    at: int = 0

    def fade(self, clock: Clock) -> None:
        """Bring the sums to the time of the clock."""
        kept: float = 0.5 ** ((clock.at - self.at) / clock.half_life)
        self.number, self.total, self.at = kept * self.number, kept * self.total, clock.at

    def add(self, number: float, total: float, clock: Clock) -> None:
        """Count something that comes at the time of the clock."""
        self.fade(clock)
        self.number, self.total = self.number + number, self.total + total

    def seen(self, clock: Clock) -> tuple[float, float]:
        """Return number and sum as they are at the time of the clock."""
        kept: float = 0.5 ** ((clock.at - self.at) / clock.half_life)
        return kept * self.number, kept * self.total


@dataclass
class _Side:
    """A bet that the mean has moved up, or down, and what came since it last began to win."""

    won: float = 1.0
    since: Faded = field(default_factory=Faded)


class Watch:
    """Two bets on one mean, after Page (1954): M <- max(1, M) (1 + stake (residual - tolerance)).

    Each M is at most what Shiryaev and Roberts would have (`tiercel/strictness/detection.py`),
    whose sum over both sides grows by at most 2 a value while the mean lies within the tolerance.
    So a restart at M = 2 `run_length` comes, when there was no cause, after `run_length` values on
    average or later.
    """

    def __init__(self, run_length: float) -> None:
        """Be wrong once in `run_length` values at most; 0: never restart."""
        self._threshold = 2 * run_length
        self._sides = {sign: _Side() for sign in _SIDES}

    def see(
        self, residual: float, tolerance: float, told: tuple[float, float], clock: Clock
    ) -> Faded | None:
        """Take a value by how much it is above what was expected, in [-1, 1].

        `told` is what it adds to number and sum. Returns those since the mean moved, if it did.
        """
        if not self._threshold:
            return None
        for sign, side in self._sides.items():
            gain = (sign * residual - tolerance) / (1 + tolerance)
            side.won = max(1.0, side.won) * (1 + STAKE * gain)
            if side.won <= 1:
                side.since = Faded()
            else:
                side.since.add(*told, clock)
        found = max(self._sides.values(), key=lambda side: side.won)
        if found.won < self._threshold:
            return None
        self._sides = {sign: _Side() for sign in _SIDES}
        return found.since
