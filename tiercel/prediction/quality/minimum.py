"""Where a loss is least, from its value and its slope."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Doubles = NDArray[np.float64]

_OPTIONS = {"maxiter": 60, "ftol": 1e-6}


def minimum(loss: Callable[[Doubles], tuple[float, Doubles]], start: Doubles) -> Doubles:
    """Return the [n] numbers at which a convex loss is least, by L-BFGS from `start`."""
    found: Doubles = minimize(loss, start, jac=True, method="L-BFGS-B", options=_OPTIONS).x
    return found
