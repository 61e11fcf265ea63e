"""Ridge regression whose effective parameters are counted and bounded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest

Floats = NDArray[np.float64]

MAX_PARAMETERS = 10.0
_FARTHEST = 4.0  # standard deviations: what is farther out counts as that far
# Logarithms of the weakest and the strongest penalty, relative to the number of rows; the latter
# leaves next to nothing but the intercept.
_WEAKEST, _STRONGEST = -4.0, 6.0
_TRIED = 31


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear function of centred, scaled columns; a NaN stands for the column's mean."""

    means: Floats  # [num_columns], as are scales and weights
    scales: Floats
    weights: Floats
    intercept: float
    num_parameters: float  # effective

    def __call__(self, rows: Floats) -> Floats:
        """Return a number for each of the rows, of shape [num_rows, num_columns]."""
        values: Floats = self.intercept + _scaled(rows, self.means, self.scales) @ self.weights
        return values


def fit_ridge(
    rows: Floats, targets: Floats, *, num_flags: int = 0, max_parameters: float = MAX_PARAMETERS
) -> Linear:
    """Return the ridge regression of `targets` [num_rows] on `rows` [num_rows, num_columns].

    Columns are centred and divided by their standard deviation; the last `num_flags`, which are 0
    or 1, are only centred, so that a flag that few rows have is held back more. The intercept is
    free. Effective parameters are the trace of the hat matrix, 1 + sum of s^2 / (s^2 + penalty)
    over the singular values s (Hastie, Tibshirani, Friedman, 3.4.1). Of the penalties that leave
    at most `max_parameters`, the one of least leave-one-out error is taken. Raises InvalidRequest
    for fewer than two rows.
    """
    if len(rows) < 2:
        raise InvalidRequest("rows", len(rows), "at least two are needed")
    means, scales = _moments(rows, num_flags)
    design = _scaled(rows, means, scales)
    centres = design.mean(axis=0)
    left, singular, right = np.linalg.svd(design - centres, full_matrices=False)
    residue = targets - targets.mean()
    energy = singular**2 / len(rows)
    shares = energy / (energy + _penalties(energy, max_parameters)[:, None])
    errors = _left_out_errors(left, shares, residue)
    share = shares[int(np.argmin(errors))]  # of equals that of the strongest penalty
    safe = np.where(singular > 0, singular, 1.0)
    weights = right.T @ (share / safe * (left.T @ residue))
    intercept = float(targets.mean() - centres @ weights)
    return Linear(means, scales, weights, intercept, float(1.0 + share.sum()))


def _moments(rows: Floats, num_flags: int) -> tuple[Floats, Floats]:
    means, scales = rows.mean(axis=0), rows.std(axis=0)
    # A column that hardly varies is left as it is: dividing would blow up its rounding errors.
    scales = np.where(scales > 1e-9 * (1.0 + np.abs(means)), scales, 1.0)
    if num_flags:
        scales[-num_flags:] = 1.0
    return means, scales


def _scaled(rows: Floats, means: Floats, scales: Floats) -> Floats:
    spread = np.nan_to_num((rows - means) / scales, nan=0.0)
    scaled: Floats = np.clip(spread, -_FARTHEST, _FARTHEST)
    return scaled


def _penalties(energy: Floats, max_parameters: float) -> Floats:
    """Return penalties from the strongest to the weakest that leaves at most so many parameters."""
    low, high = _WEAKEST, _STRONGEST
    if 1.0 + float((energy / (energy + 10.0**low)).sum()) > max_parameters:
        for _ in range(50):
            middle = (low + high) / 2
            exceeds = 1.0 + float((energy / (energy + 10.0**middle)).sum()) > max_parameters
            low, high = (middle, high) if exceeds else (low, middle)
        low = high
    return np.logspace(_STRONGEST, low, _TRIED)


def _left_out_errors(left: Floats, shares: Floats, residue: Floats) -> Floats:
    """Return the mean squared error of each row by the fit to all others, for each of `shares`.

    In closed form, from the leverages of the fit to all rows.
    """
    fitted = left @ (shares * (left.T @ residue)).T
    leverage = np.minimum(1.0 / len(residue) + left**2 @ shares.T, 1.0 - 1e-9)
    errors: Floats = np.mean(((residue[:, None] - fitted) / (1.0 - leverage)) ** 2, axis=0)
    return errors
