"""LinUCB as MetaLLM learns it (arXiv:2407.10834): prompts come once, only the arm taken is seen."""

from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.points import Points, from_odds, spread
from tiercel.evaluation.frontier.policies import weighed
from tiercel.evaluation.frontier.reduced import as_given, reduced_situations, rows_of
from tiercel.evaluation.frontier.table import Doubles
from tiercel.routing.linucb import LinUcb, LinUcbState
from tiercel.routing.policy import Situation, Wishes

ALPHA = 0.5
RIDGE = 1.0
_NUM_PRICES = 20


@dataclass(frozen=True)
class Bandit:
    """Learns on the training prompts in a random order, then no more; its knob is the price."""

    name: str = "metallm"

    def replay(self, fold: Fold) -> Points:
        """Return the test prompts' points, cheap settings first."""
        prices = fold.weights[:: max(1, len(fold.weights) // _NUM_PRICES)]
        rows = rows_of(fold, fold.train).astype(np.float64)
        order = np.random.default_rng(0).permutation(len(rows))
        states = learned(
            rows[order],
            fold.train.scores[order],
            fold.train.costs[order],
            prices,
            fold.table.plan_names,
        )
        reduction = as_given(rows.astype(np.float32))
        policies = [LinUcb(reduction, state, alpha=ALPHA) for state in states]
        asked = reduced_situations(fold, fold.validation, fold.validation_beliefs)
        tried = from_odds(_odds(policies, asked), fold.validation).cost.mean(axis=0)
        distinct, back = np.unique(spread(tried.astype(np.float64)), return_inverse=True)
        asked = reduced_situations(fold, fold.test, fold.test_beliefs)
        odds = _odds([policies[at] for at in distinct], asked)[:, back]
        return from_odds(odds, fold.test, fold.overhead)


def learned(
    rows: Doubles, scores: Doubles, costs: Doubles, prices: Doubles, arms: tuple[str, ...]
) -> list[LinUcbState]:
    """Return, for each price, what LinUCB knows after prompts `rows` [n, size] in this order.

    The reward is score - price x cost, both [n, arms]; of each prompt only that of the arm with
    the highest bound is seen. All prices learn side by side.
    """
    size, each = rows.shape[1], np.arange(len(prices))
    inverses = np.tile(np.eye(size) / RIDGE, (len(prices), len(arms), 1, 1))
    sums = np.zeros((len(prices), len(arms), size))
    weights = np.zeros_like(sums)
    for row, score, cost in zip(rows, scores, costs, strict=True):
        turned = inverses @ row
        bounds = weights @ row + ALPHA * np.sqrt(np.maximum(turned @ row, 0.0))
        taken = bounds.argmax(axis=1)
        own = turned[each, taken]
        shrunk = own[:, :, None] * own[:, None, :] / (1.0 + own @ row)[:, None, None]
        inverses[each, taken] -= shrunk
        sums[each, taken] += (score[taken] - prices * cost[taken])[:, None] * row
        weights[each, taken] = np.einsum(
            "pij,pj->pi", inverses[each, taken], sums[each, taken], optimize=False
        )
    return [LinUcbState(arms, weights[at], inverses[at]) for at in range(len(prices))]


def _odds(
    policies: list[LinUcb], asked: list[Situation]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.stack([weighed(policy, asked, Wishes()) for policy in policies], axis=1)
