"""Fits a quality model: its weights on one part of the prompts, calibration on another."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.examples import Examples
from tiercel.prediction.quality.calibration import PlanCalibration
from tiercel.prediction.quality.model import QualityModel, has_begun
from tiercel.prediction.quality.session import Session
from tiercel.prediction.quality.settings import QualitySettings
from tiercel.prediction.quality.targets import Targets

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


def fit_quality(
    train: Examples,
    calibration: Examples,
    *,
    settings: QualitySettings,
    seed: int,
    whole: Bools | None = None,
) -> QualityModel:
    """Return a model fitted to `train` and calibrated on `calibration`, which share no group.

    What is said of the prompts of `train` by weights that did not see them calibrates as well, so
    that few prompts are enough: of those rows that are `whole` [n], each prompt once; all, if not
    given. What evidence adds is fitted on top of the same. The same data and seed give the same
    model.
    """
    # Not at the top: these need the extra `train`.
    from tiercel.prediction.quality.evidence_fitting import fitted_evidence
    from tiercel.prediction.quality.graph import graph_of
    from tiercel.prediction.quality.kinds import flags_of
    from tiercel.prediction.quality.weight_fitting import fitted_weights

    folds = dealt(train.groups, settings.num_folds, seed)
    weights, held_out = fitted_weights(
        train.features, Targets.of(train), train.kinds, folds, settings
    )
    informed = fitted_evidence(
        held_out, flags_of(train.kinds), train.evidence, train.scores, settings.evidence_penalty
    )
    graph = graph_of(weights, informed)
    chosen = np.ones(len(train.kinds), np.bool_) if whole is None else whole
    known = (held_out.outputs[chosen], train.scores[chosen])
    plain, with_evidence = _calibrations(Session(graph), calibration, known, settings)
    return QualityModel(
        train.plan_names,
        train.pair_names,
        graph,
        plain,
        with_evidence,
        tuple(np.isfinite(train.num_tokens).sum(axis=0).tolist()),
    )


def dealt(groups: Sequence[str], num_hands: int, seed: int) -> NDArray[np.intp]:
    """Return a number below `num_hands` for each group's rows: even shares, in a hash's order."""
    names = sorted(set(groups), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    hands = {name: place % num_hands for place, name in enumerate(names)}
    return np.array([hands[group] for group in groups], np.intp)


def _calibrations(
    session: Session,
    examples: Examples,
    held_out: tuple[Floats, Floats],
    settings: QualitySettings,
) -> tuple[tuple[PlanCalibration, ...], tuple[PlanCalibration, ...]]:
    from tiercel.prediction.quality.calibrating import calibrated
    from tiercel.prediction.quality.evidence_fitting import begun_masks

    num_plans = len(examples.plan_names)
    # Each prompt is in one situation, so that a bin's prompts are as many as it says.
    masks = begun_masks(num_plans)[np.arange(len(examples.kinds)) % (2 * num_plans - 1)]
    evidence = np.where(masks[:, :, None], examples.evidence, np.nan).astype(np.float32)
    found = session.run(examples.features, evidence)
    if found.informed_logits is not None:
        # A prompt without any evidence says nothing of predictions that had some.
        found.informed_logits[~has_begun(evidence).any(axis=1)] = np.nan

    def curves(logits: Floats, scores: Floats) -> tuple[PlanCalibration, ...]:
        columns = zip(logits.T, scores.T, strict=True)
        return tuple(calibrated(column, scores, settings) for column, scores in columns)

    outputs, scores = held_out
    logits = np.concatenate([outputs, found.outputs])[:, :num_plans]
    plain = curves(logits, np.concatenate([scores, examples.scores]))
    informed = found.informed_logits
    return plain, () if informed is None else curves(informed, examples.scores)
