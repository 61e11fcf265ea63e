"""Fits what a new tier's quality is from its anchors: two weights, an intercept, a calibration."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tiercel.prediction.quality.anchors import Anchors
from tiercel.prediction.quality.calibrating import calibrated
from tiercel.prediction.quality.calibration import PlanCalibration
from tiercel.prediction.quality.manifest import AddedTier
from tiercel.prediction.quality.settings import QualitySettings

Floats = NDArray[np.float32]


def fitted_anchors(
    hidden: Floats,
    known_logits: Floats,
    scores: Floats,
    num_tokens: Floats,
    settings: QualitySettings,
) -> Anchors:
    """Return a tier's anchors from its scores and lengths [n], hidden [n, h] and logits [n, plans].

    Each anchor is predicted by the others, so that the weights are those for new prompts.
    """
    hidden = hidden.astype(np.float16).astype(np.float32)  # as they are stored
    unfitted = Anchors(hidden, scores, _mean(num_tokens))
    neighbours = unfitted.neighbours_logits(hidden, own=True)
    known = known_logits.mean(axis=1)
    terms = np.column_stack((np.ones(len(scores)), neighbours, known)).astype(np.float64)
    wanted = scores.astype(np.float64)
    # As if neighbours and known plans said half each: few anchors move it little.
    start = np.array([0.0, 0.5, 0.5])

    def loss(at: NDArray[np.float64]) -> float:
        outputs = terms @ at
        entropy = np.logaddexp(0.0, outputs) - wanted * outputs
        return float(entropy.sum() + ((at - start)[1:] ** 2).sum())

    intercept, of_neighbours, of_known = minimize(loss, start, method="Nelder-Mead").x.tolist()
    logits = (terms @ (intercept, of_neighbours, of_known)).astype(np.float32)
    calibration: PlanCalibration = calibrated(logits, scores, settings)
    record = AddedTier(
        file_sha256="",
        num_anchors=len(scores),
        intercept=intercept,
        of_neighbours=of_neighbours,
        of_known=of_known,
        calibration=calibration,
    )
    return Anchors(hidden, scores, unfitted.mean_length, record)


def _mean(lengths: Floats) -> float:
    known = lengths[np.isfinite(lengths)]
    return float(known.mean()) if len(known) else float("nan")
