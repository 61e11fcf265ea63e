"""One fold of a cross-fitted replay: what was learned, and the prompts that it is tested on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tiercel.evaluation.frontier.beliefs import (
    Beliefs,
    CostModel,
    Fitter,
    Forecaster,
    believed,
    fit_costs,
)
from tiercel.evaluation.frontier.folds import Split
from tiercel.evaluation.frontier.table import Doubles, Table
from tiercel.prediction.examples import Examples

PROBE_TOKENS = 32
"""After so many tokens of an answer is looked at, where it is not looked at as a whole."""

# Knobs are set on so many validation prompts at most: more would only take longer.
_MOST_VALIDATION = 400
_NUM_WEIGHTS = 60


@dataclass(frozen=True, eq=False)
class Fold:
    """A table split in four; nothing of `test` is known to what is fitted here."""

    table: Table
    split: Split
    fitter: Fitter
    overhead: float = 0.0  # of a decision, in the table's unit of cost

    @cached_property
    def train(self) -> Table:
        """The prompts that models are fitted on."""
        return self.table.rows(self.split.train)

    @cached_property
    def calibration(self) -> Table:
        """The prompts that predictions are calibrated on."""
        return self.table.rows(self.split.calibration)

    @cached_property
    def validation(self) -> Table:
        """The prompts that knobs are set on: all, or a random sample of many."""
        order = np.random.default_rng(0).permutation(self.split.validation)
        return self.table.rows(np.sort(order[:_MOST_VALIDATION]))

    @cached_property
    def test(self) -> Table:
        """The prompts that are replayed."""
        return self.table.rows(self.split.test)

    @cached_property
    def forecaster(self) -> Forecaster:
        """The fitted model of quality."""
        return self.fitter(_as_met(self.train), _as_met(self.calibration))

    @cached_property
    def costs(self) -> CostModel:
        """The fitted model of costs."""
        return fit_costs(self.forecaster, self.calibration)

    @cached_property
    def validation_beliefs(self) -> Beliefs:
        """What the model says of the validation prompts."""
        return believed(self.forecaster, self.costs, self.validation)

    @cached_property
    def test_beliefs(self) -> Beliefs:
        """What the model says of the test prompts."""
        return believed(self.forecaster, self.costs, self.test)

    @cached_property
    def weights(self) -> Doubles:
        """Prices of a unit of cost among which those to test are chosen, from 0 up."""
        return weight_grid(self.train)


def _as_met(table: Table) -> Examples:
    """Return the examples as a predictor meets them: every other answer has only begun."""
    if PROBE_TOKENS not in table.prefixes:
        return table.examples
    evidence = table.examples.evidence.copy()
    evidence[::2] = table.prefixes[PROBE_TOKENS].evidence[::2]
    return replace(table.examples, evidence=evidence)


def weight_grid(table: Table) -> Doubles:
    """Return weights at which a table's plans change places, in quality for a unit of cost."""
    means = table.costs.mean(axis=0)
    span = float(means.max() - means.min())
    return np.concatenate([[0.0], np.geomspace(1e-3, 1e2, _NUM_WEIGHTS) / span])


def folds_of(table: Table, splits: Sequence[Split], fitter: Fitter, overhead: float) -> list[Fold]:
    """Return the folds, not fitted yet: each is when something of it is asked for."""
    return [Fold(table, split, fitter, overhead) for split in splits]
