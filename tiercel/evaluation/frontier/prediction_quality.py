"""How good predicted qualities are, of one plan: ranking, calibration, and what noise allows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

NUM_BINS = 15
_SUCCESS = 0.5  # a score from here on counts as right where right and wrong are asked for
_MIN_OF_EACH = 5  # right and wrong answers of a kind, below which its ranking is noise


@dataclass(frozen=True)
class Bin:
    """One bar of a reliability diagram."""

    predicted: float
    observed: float
    count: int


def auroc(predicted: Doubles, scores: Doubles) -> float:
    """Return the chance that a right answer is ranked above a wrong one, ties counted half.

    NaN without either. Shapes [n].
    """
    above, num_pairs = _ranked(predicted, scores)
    return above / num_pairs if num_pairs else float("nan")


def auroc_by_kind(
    predicted: Doubles,
    scores: Doubles,
    kinds: NDArray[np.str_],
    folds: NDArray[np.intp],
    least: int = _MIN_OF_EACH,
) -> dict[str, float]:
    """Return the AUROC within each kind that has at least so many right and wrong answers.

    Only answers of one fold are compared, as each fold was predicted by another model: where a
    fold happens to have many right answers the others have few, and so has what was learned from
    them. Predictions of two folds, side by side, rank the wrong way round by that alone.
    """
    found = {}
    for kind in np.unique(kinds):
        own = kinds == kind
        num_right = int((scores[own] >= _SUCCESS).sum())
        if min(num_right, int(own.sum()) - num_right) >= least:
            within = [own & (folds == fold) for fold in np.unique(folds[own])]
            ranked = np.array([_ranked(predicted[part], scores[part]) for part in within])
            above, num_pairs = ranked.sum(axis=0)
            found[str(kind)] = float(above / num_pairs) if num_pairs else float("nan")
    return found


def _ranked(predicted: Doubles, scores: Doubles) -> tuple[float, int]:
    """Return how many pairs of a right and a wrong answer are ranked so, of how many."""
    right = scores >= _SUCCESS
    num_right, num_wrong = int(right.sum()), int((~right).sum())
    _, where, counts = np.unique(predicted, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
    above = float(ranks[right].sum()) - num_right * (num_right + 1) / 2
    return above, num_right * num_wrong


def bins_of(predicted: Doubles, scores: Doubles, num_bins: int = NUM_BINS) -> list[Bin]:
    """Return bins of equal mass, from low to high predictions; fewer where there are fewer."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, num_bins) if len(part)]
    return [Bin(float(predicted[p].mean()), float(scores[p].mean()), len(p)) for p in parts]


def calibration_error(bins: list[Bin]) -> float:
    """Return the ECE: the mean distance of predicted and observed, weighted by bins' counts."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.predicted - one.observed) for one in bins) / total


def skill(predicted: Doubles, scores: Doubles, baseline: Doubles) -> float:
    """Return the Brier skill: 1 - squared error over that of `baseline` (a mean of each kind).

    With one mean of all as the baseline it is R2.
    """
    against = float(((scores - baseline) ** 2).mean())
    return 1.0 - float(((scores - predicted) ** 2).mean()) / against if against > 0 else np.nan


def explainable_share(samples: Doubles) -> float:
    """Return the R2 that labels of one sample each permit at most: Var(p) / (Var(p) + noise).

    `samples` [n, k] of k >= 2 answers each; variances within and between prompts are unbiased
    estimates, so that luck is not taken for difference. NaN if there is none of either.
    """
    noise = float(samples.var(axis=1, ddof=1).mean())
    between = max(0.0, float(samples.mean(axis=1).var(ddof=1)) - noise / samples.shape[1])
    return between / (between + noise) if between + noise > 0 else float("nan")
