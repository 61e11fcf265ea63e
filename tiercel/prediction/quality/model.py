"""A fitted quality model: prompts as rows in, calibrated qualities and bounds out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.examples import QualityForecast
from tiercel.prediction.quality.calibration import PlanCalibration

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class QualityModel:
    """Linear heads over the features, each plan with its calibration."""

    plan_names: tuple[str, ...]
    pair_names: tuple[str, ...]
    weights: Floats  # [features, 2 * plans + pairs]
    biases: Floats
    calibrations: tuple[PlanCalibration, ...]

    def forecast(self, features: Floats, evidence: Floats | None = None) -> QualityForecast:
        """Return what is predicted of n prompts, features [n, features].

        `evidence` is [n, plans, e], of the plans whose answer has begun; NaN for those that have
        not.
        """
        raw = features @ self.weights + self.biases
        num_plans = len(self.plan_names)
        logits = raw[:, :num_plans]
        each = zip(self.calibrations, logits.T, strict=True)
        quality = np.stack([one.quality(column) for one, column in each], axis=1)
        pairs = zip(self.calibrations, quality.T, strict=True)
        bound = np.stack([one.bound(column) for one, column in pairs], axis=1)
        acceptance = np.clip(raw[:, 2 * num_plans :], 0.0, 1.0)
        lengths = np.exp(raw[:, num_plans : 2 * num_plans])
        return QualityForecast(quality, bound, lengths, acceptance)
