"""Which cost_weight to use where nobody names one, and what it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.errors import InvalidRequest
from tiercel.stopping.calibration import CalibrationBin, calibration_table
from tiercel.stopping.fitting import fit
from tiercel.stopping.replay import Replay, replay, static
from tiercel.stopping.stages import StageData

MAX_LOSS = 0.01
"""A point of quality, in all."""


@dataclass(frozen=True)
class WeightPoint:
    """What the policy of one weight did."""

    cost_weight: float
    quality: float
    seconds: float
    early_share: float  # of items that stopped before the last stage


@dataclass(frozen=True)
class StaticPoint:
    """What one stage does alone."""

    stage: str
    quality: float
    seconds: float

    def value(self, cost_weight: float) -> float:
        """Return quality - cost_weight * seconds."""
        return self.quality - cost_weight * self.seconds


@dataclass(frozen=True)
class WeightChoice:
    """The points by rising weight, and which of them is the default."""

    best_static: str  # the stage whose answers are best
    static_quality: float
    static_seconds: float
    static: tuple[StaticPoint, ...]  # each stage alone
    points: tuple[WeightPoint, ...]
    chosen: WeightPoint | None  # None: every weight loses more
    calibration: tuple[CalibrationBin, ...]  # of the answers that stopped early at it


def default_cost_weight(
    train: StageData,
    validation: StageData,
    weights: Sequence[float],
    *,
    recall: bool,
    max_loss: float = MAX_LOSS,
    num_folds: int = 5,
) -> WeightChoice:
    """Return the largest weight that loses at most `max_loss` on validation.

    The loss is against the best single stage there. Policies are fitted to `train` alone.
    """
    replays = {
        weight: replay(fit(train, weight, recall=recall, num_folds=num_folds), validation)
        for weight in weights
    }
    return choose_weight(validation, replays, max_loss=max_loss)


def choose_weight(
    data: StageData, replays: Mapping[float, Replay], *, max_loss: float = MAX_LOSS
) -> WeightChoice:
    """Return the choice among weights whose replays on the data are given.

    Raises InvalidRequest without any.
    """
    if not replays:
        raise InvalidRequest("weights", [], "none to choose from")
    alone = [static(data, stage) for stage in range(len(data.stages))]
    best = int(np.argmax([each.quality.mean() for each in alone]))
    reached = float(alone[best].quality.mean())
    last = len(data.stages) - 1
    points = tuple(_point(weight, replays[weight], last) for weight in sorted(replays))
    # The margin is for rounding: 0.01 lost exactly is not more than 0.01.
    fit_for = [each for each in points if reached - each.quality <= max_loss + 1e-12]
    chosen = fit_for[-1] if fit_for else None
    return WeightChoice(
        best_static=data.stages[best],
        static_quality=reached,
        static_seconds=float(alone[best].seconds.mean()),
        static=tuple(
            StaticPoint(name, float(one.quality.mean()), float(one.seconds.mean()))
            for name, one in zip(data.stages, alone, strict=True)
        ),
        points=points,
        chosen=chosen,
        calibration=_early_calibration(replays[chosen.cost_weight], last) if chosen else (),
    )


def _point(weight: float, found: Replay, last: int) -> WeightPoint:
    return WeightPoint(
        cost_weight=weight,
        quality=float(found.quality.mean()),
        seconds=float(found.seconds.mean()),
        early_share=float((found.last < last).mean()),
    )


def _early_calibration(found: Replay, last: int) -> tuple[CalibrationBin, ...]:
    early = found.last < last
    return calibration_table(found.score[early], found.quality[early])
