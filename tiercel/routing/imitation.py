"""Policies that imitate known scores: a distilled softmax (ZOOTER) and nearest neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.routing import ranking
from tiercel.routing.policy import Odds, Situation
from tiercel.routing.qualities import weight_of
from tiercel.routing.reduction import Floats, Reduction

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SoftmaxState:
    """A linear map to one logit for each arm."""

    arms: tuple[str, ...]
    weights: Floats  # [arms, size]


def fit_softmax(
    rows: Floats,
    scores: Floats,
    arms: Sequence[str],
    *,
    temperature: float = 0.2,
    penalty: float = 1e-3,
    num_steps: int = 300,
) -> SoftmaxState:
    """Return the map whose softmax is nearest to that of the scores (arXiv:2311.08692).

    Minimises KL(softmax(scores / temperature) || softmax(rows @ weights.T)) over reduced `rows`
    [n, size] and `scores` [n, arms], with a quadratic penalty, by Nesterov's accelerated descent.
    """
    inputs = rows.astype(np.float64)
    aims = _softmax(scores.astype(np.float64) / temperature)
    # The softmax's second derivative is at most a half.
    step = 1.0 / (0.5 * np.linalg.norm(inputs, 2) ** 2 / len(inputs) + penalty)
    weights = ahead = np.zeros((len(arms), inputs.shape[1]))
    for number in range(num_steps):
        error = _softmax(inputs @ ahead.T) - aims
        moved = ahead - step * (error.T @ inputs / len(inputs) + penalty * ahead)
        ahead = moved + number / (number + 3.0) * (moved - weights)
        weights = moved
    return SoftmaxState(tuple(arms), weights.astype(np.float32))


class RewardArgmax:
    """The arm that the distilled distribution favours; no cost enters."""

    def __init__(self, reduction: Reduction, state: SoftmaxState) -> None:
        self._reduction = reduction
        self._state = state

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the likeliest arm's soonest plan; of the fallback if none is known."""
        row = self._reduction.apply(situation.features).astype(np.float64)
        shares = _softmax(self._state.weights @ row)
        likely = dict(zip(self._state.arms, shares.tolist(), strict=True))
        known = [one for one in situation.forecasts if one.arm in likely]
        if not known:
            why = "none of these plans' answers is known to reward_argmax"
            return ranking.fall_back(situation, why, insufficient_evidence=True)
        most = max(likely[one.arm] for one in known)
        found = ranking.soonest([one for one in known if likely[one.arm] == most])
        reason = f"the likeliest best of {len(known)} plans, with a share of {most:.3f}"
        return Odds.certain(found.plan_name, reason)


@dataclass(frozen=True, eq=False)
class NeighbourState:
    """Prompts whose scores are known. A score that was not measured is NaN."""

    arms: tuple[str, ...]
    rows: Floats  # [n, size], reduced, of unit length
    scores: Floats  # [n, arms]


def neighbours(rows: Floats, scores: Floats, arms: Sequence[str]) -> NeighbourState:
    """Return reduced `rows` [n, size] and `scores` [n, arms] as neighbours to ask."""
    return NeighbourState(tuple(arms), _unit(rows), scores.astype(np.float32))


class NearestNeighbours:
    """The most of mean score - cost_weight * seconds; the mean is over the nearest prompts'."""

    def __init__(
        self,
        reduction: Reduction,
        state: NeighbourState,
        *,
        num_neighbours: int = 40,
        cost_weight: float = 0.0,
    ) -> None:
        self._reduction = reduction
        self._state = state
        self._number = min(num_neighbours, len(state.rows))
        self._cost_weight = cost_weight

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the best plan; of the fallback if nothing is known of any."""
        scores = self._scores(situation)
        weight = weight_of(situation, self._cost_weight)
        worth = {
            one.plan_name: scores[one.arm] - weight * (one.seconds or 0.0)
            for one in situation.forecasts
            if one.arm in scores and not (weight and one.seconds is None)
        }
        if not worth:
            why = "none of these plans' answers is known of the nearest prompts"
            return ranking.fall_back(situation, why, insufficient_evidence=True)
        most = max(worth.values())
        equals = [one for one in situation.forecasts if worth.get(one.plan_name) == most]
        found = ranking.soonest(equals)
        reason = f"{scores[found.arm]:.3f} on average over the {self._number} nearest prompts"
        return Odds.certain(found.plan_name, f"the most utility, {most:.3f}: {reason}")

    def _scores(self, situation: Situation) -> dict[str, float]:
        """Return the mean score of each arm over the neighbours for which it was measured."""
        row = _unit(self._reduction.apply(situation.features))
        likeness = self._state.rows @ row
        nearest = np.argpartition(-likeness, self._number - 1)[: self._number]
        near = self._state.scores[nearest]
        counts = np.isfinite(near).sum(axis=0)
        means = np.nansum(near, axis=0) / np.maximum(1, counts)
        values = zip(self._state.arms, means.tolist(), counts.tolist(), strict=True)
        return {arm: mean for arm, mean, count in values if count}


def _unit(rows: Floats) -> Floats:
    """Return each row, its constant last number left out, at length 1."""
    cut = rows[..., :-1]
    lengths = np.linalg.norm(cut, axis=-1, keepdims=True)
    return np.asarray(cut / np.maximum(lengths, 1e-9), np.float32)


def _softmax(logits: Doubles) -> Doubles:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float64)
