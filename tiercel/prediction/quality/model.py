"""A fitted quality model: prompts as rows in, calibrated qualities and bounds out."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.prediction.examples import QualityForecast
from tiercel.prediction.quality.calibration import PlanCalibration
from tiercel.prediction.quality.exporting import About, export
from tiercel.prediction.quality.manifest import QualityManifest
from tiercel.prediction.quality.session import Session

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class QualityModel:
    """A graph and its calibrations, of predictions from the prompt and from evidence too."""

    plan_names: tuple[str, ...]
    pair_names: tuple[str, ...]
    graph: bytes
    calibrations: tuple[PlanCalibration, ...]  # by plan
    informed_calibrations: tuple[PlanCalibration, ...]  # by plan; none without evidence
    num_lengths: tuple[int, ...]  # by plan, how many lengths were seen

    def export(self, folder: Path, about: About) -> QualityManifest:
        """Write graph and manifest to `folder`, for QualityPredictor.load; return the manifest."""
        return export(self, folder, about)

    @cached_property
    def session(self) -> Session:
        """The graph, loaded."""
        return Session(self.graph)

    def forecast(self, features: Floats, evidence: Floats | None = None) -> QualityForecast:
        """Return what is predicted of n prompts, features [n, features].

        `evidence` is [n, plans, e], of the plans whose answer has begun; NaN for those that have
        not. A model that was fitted without evidence does not look at it.
        """
        found = self.session.run(features, evidence)
        num_plans = len(self.plan_names)
        quality, bound = _calibrated(self.calibrations, found.outputs[:, :num_plans])
        if evidence is not None and found.informed_logits is not None:
            informed, informed_bound = _calibrated(
                self.informed_calibrations, found.informed_logits
            )
            any_begun = has_begun(evidence).any(axis=1, keepdims=True)
            quality = np.where(any_begun, informed, quality)
            bound = np.where(any_begun, informed_bound, bound)
        lengths = np.exp(found.outputs[:, num_plans : 2 * num_plans])
        lengths = np.where(np.array(self.num_lengths) > 0, lengths, np.nan).astype(np.float32)
        acceptance = 1.0 / (1.0 + np.exp(-found.outputs[:, 2 * num_plans :]))
        return QualityForecast(quality, bound, lengths, acceptance.astype(np.float32))


def has_begun(evidence: Floats) -> NDArray[np.bool_]:
    """Return whether each plan's answer has begun, [n, plans], from evidence [n, plans, e]."""
    begun: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(evidence), axis=2)
    return begun


def _calibrated(calibrations: tuple[PlanCalibration, ...], logits: Floats) -> tuple[Floats, Floats]:
    columns = zip(calibrations, logits.T, strict=True)
    quality = np.stack([one.quality(column) for one, column in columns], axis=1)
    columns = zip(calibrations, quality.T, strict=True)
    return quality, np.stack([one.bound(column) for one, column in columns], axis=1)
