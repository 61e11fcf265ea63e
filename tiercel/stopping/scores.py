"""How good a stage's answer is likely to be, from its evidence and the kind of task."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.stopping.ridge import Linear, fit_ridge
from tiercel.stopping.stages import StageData

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StageScores:
    """One regressor of quality for each stage; scores are from 0 to 1."""

    kinds: tuple[str, ...]
    regressors: tuple[Linear, ...]

    def score(self, stage: int, evidence: Floats, kinds: Sequence[str]) -> Floats:
        """Return the expected quality of a stage's answers, for evidence [num_items, num_features].

        An unknown kind counts as the average one.
        """
        rows = np.hstack((evidence, kind_flags(kinds, self.kinds)))
        return np.clip(self.regressors[stage](rows), 0.0, 1.0)


def kind_flags(kinds: Sequence[str], known: Sequence[str]) -> Floats:
    """Return a column for each known kind, 1 where an item is of it; NaN for an unknown kind."""
    place = {kind: at for at, kind in enumerate(known)}
    rows = np.vstack((np.eye(len(known)), np.full((1, len(known)), np.nan)))  # the last: unknown
    flags: Floats = rows[[place.get(kind, -1) for kind in kinds]]
    return flags


def fit_scores(data: StageData, kinds: Sequence[str] | None = None) -> StageScores:
    """Return the regressors of quality fitted to all of the data.

    They know the `kinds` of the data, or those that are given, some of which it may lack.
    """
    kinds = tuple(sorted(set(data.kinds)) if kinds is None else kinds)
    flags = kind_flags(data.kinds, kinds)
    regressors = [
        fit_ridge(
            np.hstack((data.evidence[:, stage], flags)),
            data.quality[:, stage],
            num_flags=len(kinds),
        )
        for stage in range(len(data.stages))
    ]
    return StageScores(kinds, tuple(regressors))


def scores_of(scores: StageScores, data: StageData) -> Floats:
    """Return the score of every stage's answer to every item, [num_items, num_stages]."""
    each = [
        scores.score(stage, data.evidence[:, stage], data.kinds)
        for stage in range(len(data.stages))
    ]
    return np.stack(each, axis=1)


def cross_fitted_scores(data: StageData, num_folds: int = 5) -> Floats:
    """Return scores [num_items, num_stages], each item's by regressors that never saw its group."""
    folds = data.folds(num_folds)
    scores = np.zeros((len(data), len(data.stages)))
    for fold in range(num_folds):
        held = np.flatnonzero(folds == fold)
        fitted = fit_scores(data.take(np.flatnonzero(folds != fold)))
        scores[held] = scores_of(fitted, data.take(held))
    return scores
