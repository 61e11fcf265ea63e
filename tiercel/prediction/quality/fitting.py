"""Fits a quality model: heads on one part of the prompts, calibration on another."""

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.examples import Examples
from tiercel.prediction.quality.model import QualityModel
from tiercel.prediction.quality.settings import QualitySettings

Floats = NDArray[np.float32]


def fit_quality(
    train: Examples, calibration: Examples, *, settings: QualitySettings, seed: int
) -> QualityModel:
    """Return a model fitted to `train` and calibrated on `calibration`, which share no group."""
    # Not at the top: it needs the extra `train`.
    from tiercel.prediction.quality.calibrating import calibrated

    logits = np.log((train.scores + 0.02) / (1.02 - train.scores)) / 4
    targets = np.hstack((logits, np.log(np.maximum(train.num_tokens, 1)), train.acceptance))
    fitted = [_ridge(train.features, column, settings.ridge) for column in targets.T]
    weights = np.stack([weight for weight, _ in fitted], axis=1).astype(np.float32)
    biases = np.array([bias for _, bias in fitted], np.float32)
    raw = calibration.features @ weights + biases
    curves = [
        calibrated(raw[:, plan], calibration.scores[:, plan], settings)
        for plan in range(len(train.plan_names))
    ]
    return QualityModel(train.plan_names, train.pair_names, weights, biases, tuple(curves))


def _ridge(features: Floats, targets: Floats, penalty: float) -> tuple[Floats, float]:
    known = np.isfinite(targets)
    if not known.any():
        return np.zeros(features.shape[1], np.float32), 0.0
    rows, wanted = features[known], targets[known]
    means, mean = rows.mean(axis=0), float(wanted.mean())
    centred = rows - means
    small = centred.T @ centred if len(rows) > rows.shape[1] else centred @ centred.T
    small[np.diag_indices_from(small)] += penalty
    if len(rows) > rows.shape[1]:
        weights = np.linalg.solve(small, centred.T @ (wanted - mean))
    else:
        weights = centred.T @ np.linalg.solve(small, wanted - mean)
    return weights, mean - float(means @ weights)
