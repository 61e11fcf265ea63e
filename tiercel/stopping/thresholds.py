"""Thresholds on scores, a baseline in the manner of FrugalGPT (arXiv:2305.05176)."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.stopping.programme import check_weight
from tiercel.stopping.scores import StageScores, cross_fitted_scores, fit_scores
from tiercel.stopping.stages import StageData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MAX_TRIED = 50_000


@dataclass(frozen=True, eq=False)
class ThresholdRule:
    """Runs stages one after another until the kept answer's score reaches the stage's threshold."""

    scores: StageScores
    recall: bool
    thresholds: tuple[float, ...]  # of all stages but the last

    def next_stages(
        self, stage: int, evidence: Floats, kinds: tuple[str, ...], best: Floats
    ) -> Ints:
        """Return for each item the next stage, or the same one where it stops."""
        if stage == len(self.thresholds):
            return np.full(len(best), stage, np.int64)
        return np.where(best < self.thresholds[stage], stage + 1, stage).astype(np.int64)


def fit_thresholds(
    data: StageData,
    cost_weight: float,
    *,
    recall: bool,
    num_values: int | None = None,
    num_folds: int = 5,
) -> ThresholdRule:
    """Return the thresholds of greatest mean quality - cost_weight * seconds on the data.

    Tried are all combinations of `num_values` quantiles of each stage's cross-fitted scores, and of
    stopping there always or never; the first of equals is taken, which stops earlier. Not given, it
    is 11, or fewer where stages are many. Raises InvalidRequest for more than 50,000 combinations,
    or stages that cannot follow each other.
    """
    check_weight(cost_weight)
    last = len(data.stages) - 1
    if any(stage + 1 not in data.moves_from(stage) for stage in range(last)):
        raise InvalidRequest("seconds", "", "a stage cannot follow the one before it")
    if num_values is None:
        num_values = _most_values(last)
    if (num_values + 2) ** last > _MAX_TRIED:
        raise InvalidRequest("num_values", num_values, f"over {_MAX_TRIED} combinations")
    best, values = _paths(data, cross_fitted_scores(data, num_folds), cost_weight, recall)
    grid = [_candidates(best[:, stage], num_values) for stage in range(last)]
    found = max(product(*grid), key=lambda tried: _mean_value(best, values, tried))
    return ThresholdRule(fit_scores(data), recall, found)


def _paths(
    data: StageData, scores: Floats, cost_weight: float, recall: bool
) -> tuple[Floats, Floats]:
    """Return the kept answer's score, and its value, if one stops after each stage.

    Both have the shape [num_items, num_stages].
    """
    rows, spent = np.arange(len(data)), data.seconds[:, 0, 0].copy()
    best, values = np.zeros_like(scores), np.zeros_like(scores)
    for stage in range(len(data.stages)):
        if stage:
            spent += data.seconds[:, stage, stage]
        kept = np.full(len(data), stage)
        if recall:
            kept = np.argmax(scores[:, : stage + 1], axis=1)
        best[:, stage] = scores[rows, kept]
        values[:, stage] = data.quality[rows, kept] - cost_weight * spent
    return best, values


def _most_values(num_thresholds: int) -> int:
    fitting = (count for count in range(11, 0, -1) if (count + 2) ** num_thresholds <= _MAX_TRIED)
    return next(fitting, 0)


def _candidates(best: Floats, num_values: int) -> list[float]:
    inner = np.quantile(best, (np.arange(num_values) + 0.5) / num_values)
    return [-np.inf, *np.unique(inner).tolist(), np.inf]


def _mean_value(best: Floats, values: Floats, thresholds: tuple[float, ...]) -> float:
    reached = best >= np.array([*thresholds, -np.inf])
    return float(values[np.arange(len(best)), reached.argmax(axis=1)].mean())
