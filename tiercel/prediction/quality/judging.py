"""How good predictions are on prompts that the model did not see: grouped cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.frontier.prediction_quality import (
    auroc_by_kind,
    bins_of,
    calibration_error,
    skill,
)
from tiercel.prediction.examples import Examples
from tiercel.prediction.quality.fitting import dealt, fit_quality
from tiercel.prediction.quality.manifest import PlanRecord
from tiercel.prediction.quality.model import QualityModel
from tiercel.prediction.quality.settings import QualitySettings

Bools = NDArray[np.bool_]
Doubles = NDArray[np.float64]
Ints = NDArray[np.intp]

# Groups are dealt to so many hands: one calibrates, the model is fitted to the others.
_HANDS = 6


@dataclass(frozen=True)
class Fit:
    """A model, and how many prompts it was calibrated on."""

    model: QualityModel
    num_calibration: int


def fitted(examples: Examples, whole: Bools, settings: QualitySettings, seed: int) -> Fit:
    """Return a model of all examples, a part of whose groups only calibrates.

    `whole` says which rows may calibrate: each prompt once.
    """
    calibrates = dealt(examples.groups, _HANDS, seed) == 0
    model = fit_quality(
        examples.rows(~calibrates),
        examples.rows(calibrates & whole),
        settings=settings,
        seed=seed,
        whole=whole[~calibrates],
    )
    return Fit(model, int((calibrates & whole).sum()))


def folds_of(examples: Examples, seed: int, num_folds: int) -> Ints:
    """Return the fold of each row, a group as a whole in one."""
    # Dealt apart from the calibration's hands, which would else be the same groups.
    return dealt(examples.groups, num_folds, seed + 1)


def cross_validated(
    examples: Examples, whole: Bools, settings: QualitySettings, seed: int, num_folds: int
) -> Doubles:
    """Return qualities [n, plans], each prompt's by a model that knows none of its group.

    Only the rows of `whole` are predicted, the others are NaN.
    """
    folds = folds_of(examples, seed, num_folds)
    qualities = np.full(examples.scores.shape, np.nan)
    for fold in range(num_folds):
        known, asked = folds != fold, (folds == fold) & whole
        model = fitted(examples.rows(known), whole[known], settings, seed).model
        qualities[asked] = model.forecast(examples.features[asked]).quality
    return qualities


def records(
    examples: Examples, whole: Bools, qualities: Doubles, folds: Ints
) -> tuple[PlanRecord, ...]:
    """Return what is to be said of each plan.

    Qualities [n, plans] are of prompts that the model of their fold [n] did not see.
    """
    return tuple(
        _record(examples, whole, qualities[:, plan], folds, plan)
        for plan in range(len(examples.plan_names))
    )


def _record(
    examples: Examples, whole: Bools, qualities: Doubles, folds: Ints, plan: int
) -> PlanRecord:
    scores = examples.scores[:, plan].astype(np.float64)
    known = np.isfinite(scores) & whole
    record = PlanRecord(
        name=examples.plan_names[plan],
        num_scores=int(known.sum()),
        num_lengths=int(np.isfinite(examples.num_tokens[:, plan]).sum()),
        mean_score=float(scores[known].mean()) if known.any() else 0.0,
    )
    judged = known & np.isfinite(qualities)
    if not judged.any():
        return record
    kinds = np.array(examples.kinds)[judged]
    predicted, right = qualities[judged], scores[judged]
    aurocs = list(auroc_by_kind(predicted, right, kinds, folds[judged]).values())
    measured = {
        "skill": skill(predicted, right, _means(right, kinds)),
        "auroc": float(np.median(aurocs)) if aurocs else np.nan,
        "calibration_error": calibration_error(bins_of(predicted, right)),
    }
    finite = {name: value for name, value in measured.items() if isfinite(value)}
    return record.model_copy(update=finite)


def _means(scores: Doubles, kinds: NDArray[np.str_]) -> Doubles:
    """Return the mean of each prompt's kind."""
    _, where = np.unique(kinds, return_inverse=True)
    sums, counts = np.bincount(where, scores), np.bincount(where)
    means: Doubles = (sums / counts)[where]
    return means


def kinds_of(examples: Examples) -> tuple[str, ...]:
    """Return the kinds, each once."""
    return _once(examples.kinds)


def _once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
