"""What a contender gave and took on each prompt, at each setting of its knob."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.frontier.table import Table

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

NUM_POINTS = 17
"""Settings of a knob that are compared."""


@dataclass(frozen=True, eq=False)
class Points:
    """Expected quality and cost of n prompts at m settings, both [n, m].

    `odds` [n, m, plans] where a plan is picked for the whole answer; else None.
    """

    quality: Floats
    cost: Floats
    odds: Floats | None = None

    def rows(self, index: Ints) -> "Points":
        """Return the points on some of the prompts."""
        odds = None if self.odds is None else self.odds[index]
        return Points(self.quality[index], self.cost[index], odds)


def from_odds(odds: Floats, table: Table, overhead: float = 0.0) -> Points:
    """Return what odds [n, m, plans] give on n prompts; `overhead` is added to each cost."""
    quality = np.einsum("nmp,np->nm", odds, table.scores)
    cost = np.einsum("nmp,np->nm", odds, table.costs) + overhead
    return Points(quality.astype(np.float32), cost.astype(np.float32), odds)


def certain(choices: Ints, num_plans: int) -> Floats:
    """Return the odds of plan numbers [n, m], each taken for certain."""
    return np.eye(num_plans, dtype=np.float32)[choices]


def joined(parts: Sequence[Points], rows: Sequence[Ints]) -> Points:
    """Return the points of all folds in the order of the table's rows."""
    back = np.argsort(np.concatenate(list(rows)))
    odds = [part.odds for part in parts if part.odds is not None]
    whole = len(odds) == len(parts)
    return Points(
        np.concatenate([part.quality for part in parts])[back],
        np.concatenate([part.cost for part in parts])[back],
        np.concatenate(odds)[back] if whole else None,
    )


def spread(costs: NDArray[np.float64], num_points: int = NUM_POINTS) -> Ints:
    """Return which of the settings to test, by the costs [m] they had on validation prompts.

    Those nearest to evenly spaced costs, in the order of the costs; one may stand twice.
    """
    wanted = np.linspace(costs.min(), costs.max(), num_points)
    nearest: Ints = np.abs(costs[None, :] - wanted[:, None]).argmin(axis=1)
    return nearest
