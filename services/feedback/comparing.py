"""Whether one of two arms does worse than the other, by bets whose verdict holds at every look.

Requests are given to the arm on trial with a known probability s, so no assumption about them is
needed: not that they are alike, nor that traffic or load stay as they are. With badness B in
[low, high] and A = 1 on trial, the bet against "the trial's B exceeds the incumbent's by at most m"
multiplies its stake at each request by

    1 + stake (A (B - m) - (1 - A) B s / (1 - s))

whose expectation is at most 1, whatever came before, if that is so. A mixture of such bets with
fixed stakes is a test martingale (Ville 1939; Waudby-Smith and Ramdas, arXiv:2010.09686), and as
the stakes are fixed, what it has won is a function of how often each B came: counts may be added in
any order, by any replica.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Fractions of the greatest stake that cannot lose all: small ones find small differences.
_STAKES: NDArray[np.float64] = 0.95 * 0.5 ** np.arange(12, dtype=np.float64)
_BISECTIONS = 30

Counts = Mapping[float, float]  # how often each badness came


@dataclass(frozen=True)
class Stratum:
    """What came while the arm on trial had one share of the requests, in (0, 1)."""

    share: float
    trial: Counts
    incumbent: Counts


@dataclass(frozen=True)
class Arms:
    """What came of both arms, by share; badness is in [low, high]."""

    strata: Sequence[Stratum]
    low: float
    high: float

    def log_evidence(self, allowed: float) -> float:
        """Return the logarithm of what the bets against an excess of at most `allowed` have won.

        If the excess is that, it ever exceeds log(1 / delta) with probability delta at most.
        """
        won = sum((self._won(stratum, allowed) for stratum in self.strata), np.zeros(len(_STAKES)))
        most = float(won.max())
        return most + math.log(float(np.exp(won - most).mean()))

    def excess(self, delta: float) -> float:
        """Return what the trial's mean badness exceeds the incumbent's by, at the least.

        With probability 1 - `delta` no such bound, at whatever look, is too high. It is
        low - high where nothing is known.
        """
        least, most = self.low - self.high, self.high - self.low
        if self.log_evidence(least) < -math.log(delta):
            return least
        for _ in range(_BISECTIONS):
            middle = (least + most) / 2
            is_shown = self.log_evidence(middle) >= -math.log(delta)
            least, most = (middle, most) if is_shown else (least, middle)
        return least

    def _won(self, stratum: Stratum, allowed: float) -> NDArray[np.float64]:
        """Return the logarithm of what each stake's bet has won."""
        odds = stratum.share / (1.0 - stratum.share)
        stakes = _STAKES / max(allowed - self.low, self.high * odds)
        on_trial = {value - allowed: count for value, count in stratum.trial.items()}
        others = {-value * odds: count for value, count in stratum.incumbent.items()}
        return _logs(stakes, on_trial) + _logs(stakes, others)


def _logs(stakes: NDArray[np.float64], gains: Counts) -> NDArray[np.float64]:
    """Return, by stake, the sum over all bets of the logarithm of 1 + stake * gain."""
    values = np.fromiter(gains.keys(), float, len(gains))
    counts = np.fromiter(gains.values(), float, len(gains))
    logs: NDArray[np.float64] = np.log1p(np.outer(stakes, values)) @ counts
    return logs
