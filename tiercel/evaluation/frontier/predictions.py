"""How good a predictor is on prompts that it never saw: ranking, calibration, skill."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.frontier.beliefs import Beliefs, believed
from tiercel.evaluation.frontier.contenders import has_evidence
from tiercel.evaluation.frontier.fold import PROBE_TOKENS, Fold
from tiercel.evaluation.frontier.prediction_quality import (
    Bin,
    auroc_by_kind,
    bins_of,
    calibration_error,
    explainable_share,
    skill,
)
from tiercel.evaluation.frontier.sweeps import mean_of_kind
from tiercel.evaluation.frontier.table import Doubles, Table


@dataclass(frozen=True)
class PlanPredictions:
    """One plan's predictions."""

    plan: str
    auroc_by_kind: dict[str, float]
    calibration_error: float
    brier_skill: float  # over the mean of the prompt's data set
    explained: float  # R2
    explainable: float  # the most that single answers permit; NaN without samples
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Predictions:
    """What is predicted of all plans from the same knowledge."""

    knowledge: str
    median_auroc_within_kind: float  # over plans and kinds
    calibration_error: float  # the mean over plans
    plans: tuple[PlanPredictions, ...]


def judged(table: Table, folds: Sequence[Fold]) -> list[Predictions]:
    """Return how good predictions from the text are, and from the text and its answers' tokens."""
    found = [_judged("text", table, folds, [fold.test_beliefs for fold in folds])]
    if has_evidence(table):
        for name, length in ((f"{PROBE_TOKENS} tokens", PROBE_TOKENS), ("whole answers", None)):
            seen = [_after(fold, length) for fold in folds]
            found.append(_judged(f"text and {name}", table, folds, seen))
    return found


def _after(fold: Fold, length: int | None) -> Beliefs:
    test = fold.test
    evidence = test.examples.evidence if length is None else test.prefixes[length].evidence
    return believed(fold.forecaster, fold.costs, test, evidence)


def _judged(
    knowledge: str, table: Table, folds: Sequence[Fold], beliefs: Sequence[Beliefs]
) -> Predictions:
    quality = _pooled(table, folds, [one.quality for one in beliefs])
    means = _pooled(table, folds, [mean_of_kind(fold)[1].quality for fold in folds])
    of_fold = np.zeros(len(table), np.intp)
    for at, fold in enumerate(folds):
        of_fold[fold.split.test] = at
    plans = tuple(
        _plan(table, at, quality[:, at], means[:, at], of_fold)
        for at in range(len(table.plan_names))
    )
    aurocs = [value for plan in plans for value in plan.auroc_by_kind.values()]
    return Predictions(
        knowledge,
        float(np.median(aurocs)) if aurocs else float("nan"),
        float(np.mean([plan.calibration_error for plan in plans])),
        plans,
    )


def _plan(
    table: Table, at: int, quality: Doubles, means: Doubles, folds: NDArray[np.intp]
) -> PlanPredictions:
    scores = table.scores[:, at]
    bins = bins_of(quality, scores)
    sampled = table.samples[:, at]
    sampled = sampled[np.isfinite(sampled).all(axis=1)]
    enough = sampled.shape[1] > 1 and len(sampled) > 1
    return PlanPredictions(
        plan=table.plan_names[at],
        auroc_by_kind=auroc_by_kind(quality, scores, np.array(table.strata), folds),
        calibration_error=calibration_error(bins),
        brier_skill=skill(quality, scores, means),
        explained=skill(quality, scores, np.full(len(scores), scores.mean())),
        explainable=explainable_share(sampled) if enough else float("nan"),
        bins=tuple(bins),
    )


def _pooled(table: Table, folds: Sequence[Fold], parts: Sequence[Doubles]) -> Doubles:
    """Return the folds' rows in the order of the table's."""
    whole = np.full((len(table), *parts[0].shape[1:]), np.nan)
    for fold, part in zip(folds, parts, strict=True):
        whole[fold.split.test] = part
    return whole
