"""Contenders that take the most of quality - weight x cost, over a sweep of weights.

They differ in what they believe: a predictor, a table of means, or the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.beliefs import Beliefs
from tiercel.evaluation.frontier.fold import Fold, weight_grid
from tiercel.evaluation.frontier.points import Floats, Points, certain, from_odds, spread
from tiercel.evaluation.frontier.table import Doubles, Table

Believer = Callable[[Fold], tuple[Beliefs, Beliefs]]
"""Returns what is believed of the validation and of the test prompts of a fold."""


@dataclass(frozen=True)
class Sweep:
    """Utility under some beliefs; weights are chosen on validation for evenly spaced costs."""

    name: str
    believer: Believer
    is_charged: bool = True  # for the decision

    def replay(self, fold: Fold) -> Points:
        """Return the test prompts' points, cheap settings first."""
        validation, test = self.believer(fold)
        tried = utility_odds(validation, fold.weights)
        costs = from_odds(tried, fold.validation).cost.mean(axis=0).astype(np.float64)
        odds = utility_odds(test, fold.weights[spread(costs)])
        return from_odds(odds, fold.test, fold.overhead if self.is_charged else 0.0)


@dataclass(frozen=True)
class Oracle:
    """Knows each answer's score and cost; nothing can be better, and luck is taken for skill."""

    name: str = "oracle"

    def replay(self, fold: Fold) -> Points:
        """Return the test prompts' points, one for each weight of the grid."""
        return oracle_points(fold.test, weight_grid(fold.table))


def oracle_points(table: Table, weights: Doubles) -> Points:
    """Return what is reached at each weight by one who knows scores and costs."""
    unknown = np.full_like(table.costs, np.nan)
    odds = utility_odds(Beliefs(table.scores, unknown, table.costs, unknown), weights)
    return from_odds(odds, table)


def utility_odds(beliefs: Beliefs, weights: Doubles) -> Floats:
    """Return the odds [n, weights, plans]: the best plan for certain, the first of equals."""
    worth = beliefs.quality[:, None, :] - weights[None, :, None] * beliefs.costs[:, None, :]
    return certain(worth.argmax(axis=2), beliefs.quality.shape[1])


def predicted(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return the fold's own predictions."""
    return fold.validation_beliefs, fold.test_beliefs


def mean_of_all(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return each plan's mean on all prompts: no prompt is told from another."""
    return by_class(fold, lambda table: [""] * len(table))


def mean_of_kind(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return each plan's mean on the prompt's data set: global averages, no prompt is read."""
    return by_class(fold, lambda table: list(table.examples.kinds))


def mean_of_stratum(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return each plan's mean on the prompt's subject, which is told to it."""
    return by_class(fold, lambda table: list(table.strata))


def mean_of_length(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return each plan's mean over prompts of about the same length in characters."""
    lengths = np.array([len(text) for text in fold.train.texts])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, 11)[1:-1]))

    def classes(table: Table) -> list[str]:
        places = np.searchsorted(edges, [len(text) for text in table.texts], side="right")
        return [str(place) for place in places]

    return by_class(fold, classes)


def by_class(fold: Fold, classes: Callable[[Table], list[str]]) -> tuple[Beliefs, Beliefs]:
    """Return the training prompts' mean scores and costs by class; those of all for a new one."""
    own = np.array(classes(fold.train))
    everything = fold.train.scores.mean(axis=0), fold.train.costs.mean(axis=0)
    means = {
        name: (fold.train.scores[own == name].mean(axis=0), fold.train.costs[own == name].mean(0))
        for name in np.unique(own).tolist()
    }

    def of(table: Table) -> Beliefs:
        found = [means.get(name, everything) for name in classes(table)]
        unknown = np.full(table.costs.shape, np.nan)
        quality, costs = (np.stack(values) for values in zip(*found, strict=True))
        return Beliefs(quality, unknown, costs, unknown)

    return of(fold.validation), of(fold.test)
