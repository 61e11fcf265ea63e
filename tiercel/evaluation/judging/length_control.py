"""How often one column's answers are preferred, and how often they would be at equal length.

After AlpacaEval's length-controlled win rate (Dubois et al., arXiv:2404.04475), for one pair of
columns: without its terms for single prompts, which a few dozen prompts cannot carry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# On the slope: where length tells the winner without exception, it would grow without end.
_RIDGE = 1.0
_STEPS = 100
_DONE = 1e-10


@dataclass(frozen=True)
class LengthControlled:
    """The share of comparisons won, and what is left of it at equal length."""

    win_rate: float
    controlled: float
    slope: float  # of `tanh(z)`, in log-odds


def length_controlled(
    preferences: Sequence[float], lengths: Sequence[int], other_lengths: Sequence[int]
) -> LengthControlled:
    """Fit preference = sigmoid(a + b * tanh(z)) and return sigmoid(a): its value where z is 0.

    `preferences` are from 0 to 1 for the first answer, 0.5 where both are equally good; `z` is the
    log of the ratio of both lengths over its root mean square, not centred, so that 0 is equal
    length. `b` bears a ridge of 1. Swapping the answers gives the complement. Raises ValueError
    for sequences of unlike lengths, none at all, preferences outside 0 to 1 and empty answers.
    """
    wins = np.asarray(preferences, np.float64)
    own, other = np.asarray(lengths, np.float64), np.asarray(other_lengths, np.float64)
    if not len(wins) or not len(wins) == len(own) == len(other):
        raise ValueError("each comparison has a preference and two lengths")
    if not ((wins >= 0) & (wins <= 1)).all() or min(own.min(), other.min()) <= 0:
        raise ValueError("preferences are from 0 to 1, lengths above 0")
    ratios = np.log(own / other)
    spread = float(np.sqrt(np.mean(ratios**2)))
    rows = np.tanh(ratios / spread) if spread else ratios
    level, slope = _fitted(wins, rows)
    return LengthControlled(float(wins.mean()), float(_sigmoid(np.array(level))), slope)


def _fitted(wins: NDArray[np.float64], rows: NDArray[np.float64]) -> tuple[float, float]:
    """Return level and slope by damped Newton steps.

    Half a win and half a defeat are added at equal length: without any, columns that win always
    have no finite level.
    """
    inputs = np.column_stack([np.ones(len(rows) + 1), np.append(rows, 0.0)])
    targets = np.append(wins, 0.5)
    ridge = np.array([0.0, _RIDGE])
    at = np.zeros(2)
    for _ in range(_STEPS):
        chances = _sigmoid(inputs @ at)
        gradient = inputs.T @ (targets - chances) - ridge * at
        curvature = (inputs.T * (chances * (1 - chances))) @ inputs + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        at += step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < _DONE:
            break
    return float(at[0]), float(at[1])


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-values))
