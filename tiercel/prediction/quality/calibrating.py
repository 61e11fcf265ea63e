"""Fits calibration curves and lower bounds on prompts that the model was not fitted on."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import beta

from tiercel.prediction.quality.calibration import PlanCalibration
from tiercel.prediction.quality.settings import QualitySettings

Floats = NDArray[np.float32]

_KNOTS = np.linspace(-8.0, 8.0, 65)
_DRAWN = 5.0


def calibrated(logits: Floats, scores: Floats, settings: QualitySettings) -> PlanCalibration:
    """Return the calibration of one plan, from logits [n] and scores [n]; NaN is left out."""
    known = np.isfinite(logits) & np.isfinite(scores)
    logits, scores = logits[known], scores[known]
    method = "platt" if len(scores) else "none"
    curve = _sigmoid(logits, scores)
    fitted = PlanCalibration(
        method=method,
        num_items=len(scores),
        logits=tuple(_KNOTS.tolist()),
        qualities=tuple(curve.tolist()),
    )
    edges, bounds = _bins(fitted.quality(logits), scores, settings)
    return fitted.model_copy(update={"edges": edges, "bounds": bounds})


def clopper_pearson(num_right: float, number: int, confidence: float) -> float:
    """Return the one-sided lower bound of a share (Clopper and Pearson, 1934).

    Fractions of `num_right` are of scores in [0, 1], which vary less than rights and wrongs of
    the same mean.
    """
    if num_right <= 0:
        return 0.0
    return float(beta.ppf(1 - confidence, num_right, number - num_right + 1))


def _sigmoid(logits: Floats, scores: Floats) -> Floats:
    """Return the knots of a sigmoid of a + b x logit, drawn to a = 0 and b = 1.

    The fewer items there are, the more it is drawn there: noise of its own in each plan's curve
    would hide how plans differ.
    """

    def loss(at: NDArray[np.float64]) -> float:
        shifted = at[0] + np.exp(at[1]) * logits
        entropy = np.logaddexp(0.0, shifted) - scores * shifted
        return float(entropy.sum() + _DRAWN * (at[0] ** 2 + at[1] ** 2))

    shift, log_slope = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    curve: Floats = expit(shift + np.exp(log_slope) * _KNOTS).astype(np.float32)
    return curve


def _bins(
    qualities: Floats, scores: Floats, settings: QualitySettings
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return edges and bounds of bins of equal mass; none where too few items are for one."""
    number = min(settings.max_bins, len(scores) // settings.min_bin)
    confidence = settings.confidence
    if number < 1:
        return (), ()
    places = np.arange(1, number) * len(scores) // number
    starts = np.unique(np.sort(qualities)[places])
    # Equal qualities stay in one bin, so that a bin can come out small: it joins the one above.
    edges = [0.0]
    for start in starts:
        here = (qualities >= edges[-1]) & (qualities < start)
        rest = qualities >= start
        if min(here.sum(), rest.sum()) >= settings.min_bin:
            edges.append(float(start))
    bins = np.searchsorted(edges, qualities, side="right") - 1
    bounds = [
        clopper_pearson(float(scores[bins == one].sum()), int((bins == one).sum()), confidence)
        for one in range(len(edges))
    ]
    return tuple(edges), tuple(bounds)
