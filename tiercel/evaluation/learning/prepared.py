"""A table as a world: predictors are fitted on one part of the prompts, the others are the stream.

No prompt of the stream, nor a near duplicate of one, is known to what was fitted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tiercel.evaluation.frontier.beliefs import Beliefs, Fitter, believed
from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.folds import Split, splits
from tiercel.evaluation.frontier.reduced import rows_of
from tiercel.evaluation.frontier.table import Table
from tiercel.evaluation.learning.learner import FOREVER, Prior, Problem
from tiercel.evaluation.learning.world import World, fair_weight
from tiercel.routing.policy import Forecast, Situation


@dataclass(frozen=True, eq=False)
class Prepared:
    """A world at its fair price of cost, and what history tells learners about it."""

    world: World
    problem: Problem
    fair_weight: float  # at which the cheapest and the best plan are worth the same

    def weighed(self, share: float) -> "Prepared":
        """Return the same with cost priced at a share of the fair price."""
        weight = share * self.fair_weight
        return Prepared(
            replace(self.world, cost_weight=weight),
            replace(self.problem, cost_weight=weight),
            self.fair_weight,
        )


def prepared(table: Table, fitter: Fitter, *, refresh: int, seed: int = 0) -> Prepared:
    """Return a table's world: 70 % of the prompts are history, 30 % make the streams."""
    split = next(splits(table.examples.groups, table.examples.kinds, seed))
    stream = np.sort(np.concatenate([split.validation, split.test]))
    fold = Fold(table, Split(split.train, split.calibration, split.validation, stream), fitter)
    history = table.rows(np.sort(np.concatenate([split.train, split.calibration])))
    weight = fair_weight(history.scores, history.costs)
    features = rows_of(fold, fold.test)[:, :-1]
    beliefs = believed(fold.forecaster, fold.costs, fold.test)
    situations = tuple(
        Situation(
            _forecasts(table.plan_names, beliefs, row),
            fallback=table.plan_names[-1],
            features=features[row],
            kind=kind,
        )
        for row, kind in enumerate(fold.test.examples.kinds)
    )
    world = World(table.plan_names, fold.test.scores, fold.test.costs, situations, weight)
    priors = _priors(history)
    problem = Problem(table.plan_names, weight, features.shape[1], priors, FOREVER, refresh)
    return Prepared(world, problem, weight)


def _forecasts(plans: tuple[str, ...], beliefs: Beliefs, row: int) -> tuple[Forecast, ...]:
    each = zip(plans, beliefs.quality[row].tolist(), beliefs.costs[row].tolist(), strict=True)
    return tuple(Forecast(plan, seconds=cost, quality=quality) for plan, quality, cost in each)


def _priors(history: Table) -> Mapping[str, Mapping[str, Prior]]:
    found = {}
    for kind in dict.fromkeys(history.examples.kinds):
        own = history.kinds == kind
        scores, costs = history.scores[own].mean(axis=0), history.costs[own].mean(axis=0)
        means = zip(scores.tolist(), costs.tolist(), strict=True)
        priors = (Prior(score, cost) for score, cost in means)
        found[kind] = dict(zip(history.plan_names, priors, strict=True))
    return found
