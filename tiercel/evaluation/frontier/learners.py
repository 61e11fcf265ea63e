"""Baselines that learn on reduced features with every plan's score of every prompt."""

from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.beliefs import Beliefs
from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.points import Points, from_odds
from tiercel.evaluation.frontier.policies import weighed
from tiercel.evaluation.frontier.reduced import as_given, reduced_situations, rows_of
from tiercel.evaluation.frontier.table import Doubles, Floats, Table
from tiercel.routing.imitation import RewardArgmax, fit_softmax, neighbours
from tiercel.routing.policy import Wishes

_NEIGHBOURS = (20, 40, 80)
_RIDGE = 1.0
_AT_ONCE = 512


def nearest(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return mean scores and costs of the nearest training prompts.

    Their number is the best of a few on the calibration prompts, where nothing else is fitted.
    """
    guesses = {count: _means(fold, fold.calibration, count)[0] for count in _NEIGHBOURS}
    truth = fold.calibration.scores
    errors = {count: float(((one - truth) ** 2).mean()) for count, one in guesses.items()}
    best = min(errors, key=lambda count: errors[count])
    validation, test = (_means(fold, part, best) for part in (fold.validation, fold.test))
    return _beliefs(*validation), _beliefs(*test)


def linear(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return what LinUCB's regressions say once they have seen every arm of every prompt."""
    rows = rows_of(fold, fold.train).astype(np.float64)
    products = rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
    targets = np.hstack((fold.train.scores, fold.train.costs))
    weights = np.linalg.solve(products, rows.T @ targets)
    plans = len(fold.table.plan_names)

    def of(table: Table) -> Beliefs:
        found = rows_of(fold, table) @ weights
        return _beliefs(found[:, :plans], found[:, plans:])

    return of(fold.validation), of(fold.test)


@dataclass(frozen=True)
class DistilledReward:
    """A softmax distilled from the scores, as ZOOTER does; it knows no cost and has no knob."""

    name: str = "reward_argmax"

    def replay(self, fold: Fold) -> Points:
        """Return the test prompts' one point."""
        rows = rows_of(fold, fold.train)
        state = fit_softmax(rows, fold.train.examples.scores, fold.table.plan_names)
        asked = reduced_situations(fold, fold.test, fold.test_beliefs)
        odds = weighed(RewardArgmax(as_given(rows), state), asked, Wishes())
        return from_odds(odds[:, None, :], fold.test, fold.overhead)


def _means(fold: Fold, table: Table, count: int) -> tuple[Doubles, Doubles]:
    """Return the mean scores and costs of each prompt's nearest, as the policy `knn` finds them."""
    known = neighbours(rows_of(fold, fold.train), fold.train.examples.scores, ())
    asked = neighbours(rows_of(fold, table), table.examples.scores, ()).rows
    count = min(count, len(known.rows))
    parts = [
        _nearest_rows(known.rows, asked[at : at + _AT_ONCE], count)
        for at in range(0, len(asked), _AT_ONCE)
    ]
    near = np.concatenate(parts)
    return fold.train.scores[near].mean(axis=1), fold.train.costs[near].mean(axis=1)


def _nearest_rows(
    known: Floats, asked: Floats, count: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    return np.argpartition(-(asked @ known.T), count - 1, axis=1)[:, :count]


def _beliefs(quality: Doubles, costs: Doubles) -> Beliefs:
    unknown = np.full(costs.shape, np.nan)
    return Beliefs(quality, unknown, costs, unknown)
