"""Fewer numbers for a prompt: the directions in which the prompts of a training set differ most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reduction:
    """Principal components, each scaled to unit variance, and a last number that is always 1."""

    mean: Floats  # [num_features]
    directions: Floats  # [num_features, size]

    @property
    def size(self) -> int:
        """How many numbers come out, the constant one included."""
        return int(self.directions.shape[1]) + 1

    def apply(self, features: Floats) -> Floats:
        """Return features [..., num_features] as [..., size].

        Raises InvalidRequest for another number of features.
        """
        if features.shape[-1] != len(self.mean):
            why = f"the policy was fitted on {len(self.mean)}"
            raise InvalidRequest("features", features.shape[-1], why)
        reduced = (features - self.mean) @ self.directions
        ones = np.ones((*reduced.shape[:-1], 1), np.float32)
        return np.concatenate([reduced, ones], axis=-1)


def fit_reduction(features: Floats, size: int) -> Reduction:
    """Return the reduction of rows [n, num_features] to their `size` widest directions."""
    mean = features.mean(axis=0)
    centred = (features - mean).astype(np.float64)
    size = min(size, len(centred) - 1, centred.shape[1])
    _, widths, rows = np.linalg.svd(centred, full_matrices=False)
    scales = np.sqrt(len(centred)) / np.maximum(widths[:size], 1e-9 * max(1.0, widths[0]))
    return Reduction(mean.astype(np.float32), (rows[:size].T * scales).astype(np.float32))
