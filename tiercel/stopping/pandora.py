"""Pandora's index (Weitzman 1979), a baseline: the best order of independent boxes, with recall.

Models err together, so boxes are not independent and the index is no optimum here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.stopping.programme import Move, check_weight
from tiercel.stopping.scores import StageScores, cross_fitted_scores, fit_scores
from tiercel.stopping.stages import StageData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PandoraRule:
    """Opens the later stage of the greatest reservation value while that exceeds the best score."""

    scores: StageScores
    reservations: Mapping[Move, float]
    recall: bool = True

    def next_stages(
        self, stage: int, evidence: Floats, kinds: tuple[str, ...], best: Floats
    ) -> Ints:
        """Return for each item the stage that follows, or the same one where it stops."""
        ways = {to: value for (at, to), value in self.reservations.items() if at == stage}
        if not ways:
            return np.full(len(best), stage, np.int64)
        following = max(ways, key=lambda to: ways[to])
        return np.where(ways[following] > best, following, stage).astype(np.int64)


def reservation_value(prizes: Floats, price: float) -> float:
    """Return the z of E[max(prize - z, 0)] = price, over equally likely prizes [num_prizes].

    At price 0 it is the greatest prize.
    """
    falling = np.sort(prizes)[::-1]
    # The expectation is the greatest of lines in z, one for each number of best prizes.
    counts = np.arange(1, len(falling) + 1)
    return float(np.max((np.cumsum(falling) - len(falling) * price) / counts))


def fit_pandora(data: StageData, cost_weight: float, *, num_folds: int = 5) -> PandoraRule:
    """Return the rule whose prizes are each stage's cross-fitted scores, all kinds together."""
    check_weight(cost_weight)
    scores = cross_fitted_scores(data, num_folds)
    moves = [(at, to) for at in range(len(data.stages)) for to in data.moves_from(at)]
    reservations = {
        (at, to): reservation_value(
            scores[:, to], cost_weight * float(data.seconds[:, at + 1, to].mean())
        )
        for at, to in moves
    }
    return PandoraRule(fit_scores(data), reservations)
