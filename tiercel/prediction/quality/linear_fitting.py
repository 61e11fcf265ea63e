"""Fits the linear map beside the kinds: penalised cross entropy and squares, with one minimum."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tiercel.prediction.quality.minimum import minimum
from tiercel.prediction.quality.targets import Targets

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def fitted_linear(
    rows: csr_matrix,
    targets: Targets,
    offsets: Floats,
    penalties: Sequence[float],
    apart: float,
    start: Floats | None = None,
) -> Floats:
    """Return weights [features, outputs] for scaled rows [n, features], on top of `offsets`.

    `offsets` [n, outputs] are what is known without the rows. `penalties` are of the sorts of
    outputs. How plans differ is harder to learn than what is hard for all of them: of a sort, the
    mean of the weights has the penalty, and what is apart from it `apart` times as much. From
    `start`, what other penalties gave, it is quicker.
    """
    shape = (rows.shape[1], targets.values.shape[1])
    transposed = rows.T.tocsr()

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights = flat.reshape(shape)
        each, errors = targets.losses(rows @ weights + offsets)
        drawn = _drawn(weights, targets.parts, penalties, apart)
        gradient = transposed @ errors + 2 * drawn
        return float(each.sum() + (weights * drawn).sum()), gradient.ravel()

    first = np.zeros(shape) if start is None else start.astype(np.float64)
    found = minimum(loss, first.ravel())
    weights: Floats = found.reshape(shape).astype(np.float32)
    return weights


def _drawn(
    weights: Doubles, parts: Sequence[slice], penalties: Sequence[float], apart: float
) -> Doubles:
    """Return how much each weight is drawn to zero: half the slope of what all cost."""
    drawn = np.zeros_like(weights)
    for part, penalty in zip(parts, penalties, strict=True):
        own = weights[:, part]
        mean = own.sum(axis=1, keepdims=True) / max(1, own.shape[1])
        drawn[:, part] = penalty * (mean + apart * (own - mean))
    return drawn
