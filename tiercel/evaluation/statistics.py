"""Means of scores with 95 % intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

_Z = 1.959964  # of the normal distribution, two-sided 95 %
_REPLICATES = 2_000


@dataclass(frozen=True)
class Estimate:
    """A mean over so many prompts, and the interval that it is likely to lie in."""

    mean: float
    low: float
    high: float
    count: int


def estimate(scores: Sequence[float]) -> Estimate:
    """Return the mean of scores from 0 to 1 with its 95 % interval.

    Wilson's (1927) where all are 0 or 1, else percentiles of 2,000 bootstrap means, always the
    same for the same scores. Raises ValueError without scores.
    """
    if not scores:
        raise ValueError("no scores to estimate a mean of")
    values = np.asarray(scores, np.float64)
    mean = float(values.mean())
    if bool(np.isin(values, (0.0, 1.0)).all()):
        low, high = wilson(mean, len(values))
    else:
        places = np.random.default_rng(0).integers(0, len(values), (_REPLICATES, len(values)))
        low, high = np.percentile(values[places].mean(axis=1), (2.5, 97.5)).tolist()
    return Estimate(mean, low, high, len(values))


def wilson(mean: float, count: float) -> tuple[float, float]:
    """Return Wilson's interval (1927) of 95 % of a share that was seen in `count` cases."""
    spread = _Z * _Z / count
    middle = (mean + spread / 2) / (1 + spread)
    half = _Z * sqrt(mean * (1 - mean) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
