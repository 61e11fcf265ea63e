"""Pearson's chi-square test with a limit that a true hypothesis passes with near certainty."""

import numpy as np
from numpy.typing import NDArray

_LEAST_EXPECTED = 5.0


def fits(counts: NDArray[np.integer], probs: NDArray[np.float64]) -> bool:
    """Whether counts agree with probs: false alarms about once in a million (z = 4.75)."""
    expected = probs / probs.sum() * counts.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return statistic < _limit(counts.size - 1)


def fits_each(counts: NDArray[np.integer], probs: NDArray[np.float64]) -> bool:
    """Whether each row of counts agrees with its row of probs, taken together as one test.

    Cells where fewer than five are expected count as one: alone they follow no chi-square law.
    """
    expected = probs / probs.sum(axis=-1, keepdims=True) * counts.sum(axis=-1, keepdims=True)
    is_small, num_rows = expected < _LEAST_EXPECTED, np.count_nonzero(counts.sum(axis=-1))
    pooled = [expected[is_small].sum()] if expected[is_small].sum() > 0 else []
    wanted = np.append(expected[~is_small], pooled)
    found = np.append(counts[~is_small], [counts[is_small].sum()] * len(pooled))
    statistic = float(((found - wanted) ** 2 / wanted).sum())
    return statistic < _limit(max(1, wanted.size - num_rows))


def independent(first: NDArray[np.integer], second: NDArray[np.integer]) -> bool:
    """Whether two sequences of small categories show no dependence on each other."""
    table = np.zeros((first.max() + 1, second.max() + 1), dtype=np.int64)
    np.add.at(table, (first, second), 1)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic < _limit((table.shape[0] - 1) * (table.shape[1] - 1))


def _limit(degrees: int) -> float:
    """The chi-square quantile by Wilson and Hilferty's cube."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + 4.75 * spread**0.5) ** 3)
