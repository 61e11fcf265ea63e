"""Whether answers are worth what they were taken to be worth: a table and its mean error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CalibrationBin:
    """Answers of similar scores."""

    lowest: float  # score
    highest: float
    predicted: float  # mean score
    observed: float  # mean quality
    count: int


def calibration_table(
    scores: Floats, quality: Floats, num_bins: int = 10
) -> tuple[CalibrationBin, ...]:
    """Return bins of about equally many answers, by score; fewer where there are fewer answers."""
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, max(1, min(num_bins, len(order))))
    return tuple(
        CalibrationBin(
            lowest=float(scores[part].min()),
            highest=float(scores[part].max()),
            predicted=float(scores[part].mean()),
            observed=float(quality[part].mean()),
            count=len(part),
        )
        for part in parts
        if len(part)
    )


def calibration_error(table: tuple[CalibrationBin, ...]) -> float:
    """Return the mean distance of predicted from observed (ECE); 0 for no answers."""
    total = sum(each.count for each in table)
    distances = sum(each.count * abs(each.predicted - each.observed) for each in table)
    return distances / total if total else 0.0
