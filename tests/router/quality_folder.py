"""A quality predictor in a folder, which says the same of every prompt."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tiercel.prediction.quality.calibration import PlanCalibration
from tiercel.prediction.quality.exporting import About
from tiercel.prediction.quality.featuriser import NUM_FEATURES
from tiercel.prediction.quality.graph import graph_of
from tiercel.prediction.quality.manifest import PlanRecord, TierRecord
from tiercel.prediction.quality.model import QualityModel
from tiercel.prediction.quality.weights import Scaling, Weights


def write_predictor(
    folder: Path,
    qualities: Mapping[str, tuple[float, float]],
    tiers: Mapping[str, TierRecord],
    acceptance: Mapping[str, float] | None = None,
    num_tokens: float = 11.0,
) -> Path:
    """Write a predictor of plans' qualities and bounds, and of pairs' acceptance."""
    rates = np.array([*(acceptance or {}).values()])
    lengths = np.full(len(qualities), np.log(num_tokens))
    biases = np.concatenate((np.zeros(len(qualities)), lengths, np.log(rates / (1 - rates))))
    model = QualityModel(
        tuple(qualities),
        tuple(acceptance or ()),
        graph_of(_constant(biases.astype(np.float32)), None),
        tuple(_calibration(*pair) for pair in qualities.values()),
        (),
        (5,) * len(qualities),
    )
    records = tuple(
        PlanRecord(name=one, num_scores=5, num_lengths=5, mean_score=0.5) for one in qualities
    )
    model.export(folder, About(records, tiers, {}, 5, 5, ("k",), 0))
    return folder


def _constant(biases: np.ndarray) -> Weights:
    none = np.zeros(NUM_FEATURES, np.float32)
    return Weights(
        scaling=Scaling(none, none),
        kind=np.zeros((NUM_FEATURES, 1), np.float32),
        kind_biases=np.zeros(1, np.float32),
        kind_outputs=biases[None, :],
        linear=np.zeros((NUM_FEATURES, len(biases)), np.float32),
    )


def _calibration(quality: float, bound: float) -> PlanCalibration:
    return PlanCalibration(
        method="isotonic",
        num_items=100,
        logits=(-1.0, 1.0),
        qualities=(quality, quality),
        edges=(0.0,),
        bounds=(bound,),
    )
