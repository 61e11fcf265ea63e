"""LinUCB on correct - price x cost, as MetaLLM routes (arXiv:1003.0146, 2407.10834).

A learner gathers outcomes; a policy uses what it had gathered at one moment and never learns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import NotFound
from tiercel.routing import ranking
from tiercel.routing.policy import Odds, Situation
from tiercel.routing.reduction import Floats, Reduction

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinUcbState:
    """What the learner knows: for each arm a ridge regression and how sure it is of it."""

    arms: tuple[str, ...]
    weights: Doubles  # [arms, size], of the reward
    inverses: Doubles  # [arms, size, size], of the gathered feature products


class LinUcbLearner:
    """Learns each arm's reward by itself, one outcome at a time."""

    def __init__(self, arms: Sequence[str], reduction: Reduction, *, ridge: float = 1.0) -> None:
        self._arms = tuple(arms)
        self._reduction = reduction
        size = reduction.size
        self._inverses = np.stack([np.eye(size) / ridge for _ in arms])
        self._sums = np.zeros((len(self._arms), size))

    def learn(self, arm: str, features: Floats, reward: float) -> None:
        """Count one outcome: reward is the score less price x cost. Raises NotFound."""
        if arm not in self._arms:
            raise NotFound(f"no arm {arm!r}; the arms are {', '.join(self._arms)}")
        at = self._arms.index(arm)
        row = self._reduction.apply(features).astype(np.float64)
        # Sherman and Morrison's update of an inverse for one more row.
        turned = self._inverses[at] @ row
        self._inverses[at] -= np.outer(turned, turned) / (1.0 + row @ turned)
        self._sums[at] += reward * row

    def state(self) -> LinUcbState:
        """Return what is known now; later outcomes do not change it."""
        weights = np.einsum("aij,aj->ai", self._inverses, self._sums)
        return LinUcbState(self._arms, weights, self._inverses.copy())


class LinUcb:
    """The arm of the highest upper confidence bound of its reward; of its plans the soonest."""

    def __init__(self, reduction: Reduction, state: LinUcbState, *, alpha: float = 0.5) -> None:
        """Take `alpha`, the number of standard errors that an arm gets as a bonus."""
        self._reduction = reduction
        self._state = state
        self._alpha = alpha

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the best arm; of the fallback if no arm is known."""
        bounds = self._bounds(situation)
        known = [one for one in situation.forecasts if one.arm in bounds]
        if not known:
            why = "none of these plans' answers is known to metallm"
            return ranking.fall_back(situation, why, insufficient_evidence=True)
        most = max(bounds[one.arm][0] for one in known)
        found = ranking.soonest([one for one in known if bounds[one.arm][0] == most])
        bound, bonus = bounds[found.arm]
        reason = f"reward {bound - bonus:.3f} expected and {bonus:.3f} for being unsure"
        return Odds.certain(found.plan_name, f"the highest of {len(known)} plans: {reason}")

    def _bounds(self, situation: Situation) -> dict[str, tuple[float, float]]:
        row = self._reduction.apply(situation.features).astype(np.float64)
        expected = self._state.weights @ row
        variances = np.einsum("i,aij,j->a", row, self._state.inverses, row)
        bonus = self._alpha * np.sqrt(np.maximum(variances, 0.0))
        values = zip(self._state.arms, (expected + bonus).tolist(), bonus.tolist(), strict=True)
        return {arm: (bound, extra) for arm, bound, extra in values}
