"""Fits the linear map: penalised cross entropy and squares, which have one minimum."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from tiercel.prediction.quality.targets import Targets

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_STEPS = 60


def fitted_linear(rows: csr_matrix, targets: Targets, penalty: float) -> tuple[Floats, Floats]:
    """Return weights [features, outputs] and biases [outputs] for scaled rows [n, features]."""
    known = np.isfinite(targets.values)
    wanted = np.where(known, targets.values, 0.0)
    lengths = slice(*targets.num_logits)
    shape = (rows.shape[1], wanted.shape[1])
    transposed = rows.T.tocsr()

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights, biases = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
        outputs = rows @ weights + biases
        each = np.logaddexp(0.0, outputs) - wanted * outputs
        errors = 1.0 / (1.0 + np.exp(-outputs)) - wanted
        each[:, lengths] = 0.5 * (outputs - wanted)[:, lengths] ** 2
        errors[:, lengths] = (outputs - wanted)[:, lengths]
        errors = np.where(known, errors, 0.0)
        gradient = transposed @ errors + 2 * penalty * weights
        value = float(each[known].sum() + penalty * (weights**2).sum())
        return value, np.concatenate((gradient.ravel(), errors.sum(axis=0)))

    start = np.concatenate((np.zeros(shape[0] * shape[1]), targets.means.astype(np.float64)))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    weights = found[: -shape[1]].reshape(shape)
    return weights.astype(np.float32), found[-shape[1] :].astype(np.float32)
