"""From the outcome matrix to one stopping policy a check point, at the default weight of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tiercel.errors import InvalidRequest
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.sets import named
from tiercel.evaluation.step_cost import StepTimes
from tiercel.stopping.calibration import calibration_error
from tiercel.stopping.fitting import fit
from tiercel.stopping.policy import StoppingPolicy
from tiercel.stopping.replay import cross_fitted
from tiercel.stopping.stages import StageData
from tiercel.stopping.weights import MAX_LOSS, WeightChoice, choose_weight

WEIGHTS = tuple(float(each) for each in np.geomspace(0.0005, 1.0, 12))


@dataclass(frozen=True)
class Trained:
    """What became of one check point."""

    prefix_tokens: int | None  # None: whole answers
    num_items: int
    choice: WeightChoice  # by replays of policies that saw no item of the same prompt
    policy: StoppingPolicy | None  # of all items, at the chosen weight; None: each loses too much

    @property
    def name(self) -> str:
        """The check point in words, and its file's name without the ending."""
        return "whole" if self.prefix_tokens is None else f"after-{self.prefix_tokens}"

    @property
    def advantage(self) -> float | None:
        """What the cascade gains at its weight over the best stage for it alone, in quality."""
        chosen = self.choice.chosen
        if chosen is None:
            return None
        best = max(one.value(chosen.cost_weight) for one in self.choice.static)
        return chosen.quality - chosen.cost_weight * chosen.seconds - best

    @property
    def calibration_error(self) -> float:
        """The mean distance of expected from found quality, of what stopped early."""
        return calibration_error(self.choice.calibration)


@dataclass(frozen=True)
class Manner:
    """How to choose a weight: what is tried, what may be lost, and parts to judge on."""

    weights: tuple[float, ...] = WEIGHTS
    max_loss: float = MAX_LOSS
    num_folds: int = 5


def train(data: StageData, manner: Manner, *, trained_on: str = "") -> Trained:
    """Return the policy of the largest weight that loses little enough, and what others do."""
    recall, num_folds = data.prefix_tokens is None, manner.num_folds

    def fitted(part: StageData, weight: float) -> StoppingPolicy:
        return fit(part, weight, recall=recall, num_folds=num_folds, trained_on=trained_on)

    replays = {
        weight: cross_fitted(data, partial(fitted, weight=weight), num_folds=num_folds)
        for weight in manner.weights
    }
    choice = choose_weight(data, replays, max_loss=manner.max_loss)
    chosen = choice.chosen
    policy = None if chosen is None else fitted(data, chosen.cost_weight)
    return Trained(data.prefix_tokens, len(data), choice, policy)


def stages_of(matrix: Sequence[Cells], times: StepTimes) -> tuple[str, ...]:
    """Return the tiers that answer alone in the matrix and were timed, the quick ones first."""
    alone = {
        cells.manifest.column
        for cells in matrix
        if list(cells.manifest.tiers) == [cells.manifest.column]
    }
    timed = sorted(alone & times.tiers.keys(), key=lambda tier: times.of(tier).pass_seconds(1))
    if len(timed) < 2:
        raise InvalidRequest("outcomes", ", ".join(timed), "a cascade has two timed tiers or more")
    return tuple(timed)


def sets_of(matrix: Sequence[Cells], tiers: Sequence[str]) -> list[str]:
    """Return the sets of texts that each of these tiers answered, and whose answers have scores."""
    scored: Mapping[str, set[str]] = {tier: set() for tier in tiers}
    for cells in matrix:
        if cells.manifest.column in scored and all(one.scores for one in cells.outcomes):
            scored[cells.manifest.column].add(cells.manifest.set_name)
    shared = set.intersection(*scored.values())
    return [one.name for one in named(None) if one.name in shared and not one.asks_letter]
