"""Whether what was replayed on the matrix holds for prompts that it never saw.

Live prompts are drawn anew with replacement, replayed ones too, within each set; in each replicate
the replayed means weigh sets as the live prompts of that replicate do, so that what sets differ in
cancels. All arms are drawn together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.frontier.hull import upper_hulls
from tiercel.evaluation.frontier.replicates import REPLICATES, interval
from tiercel.evaluation.statistics import Estimate

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """Prompts with their sets; of each arm its settings' quality and cost, both [n, settings]."""

    sets: Sequence[str]
    quality: Mapping[str, Doubles]
    cost: Mapping[str, Doubles]


@dataclass(frozen=True)
class Holding:
    """One live arm beside its replay; `gain` is quality over mixtures of static plans."""

    arm: str
    quality: Estimate
    cost: Estimate
    replayed_quality: Estimate  # at the live arm's cost, for a policy
    replayed_cost: Estimate
    difference: Estimate  # of quality, live less replayed
    gain: Estimate
    replayed_gain: Estimate

    @property
    def verdict(self) -> str:
        """Whether the replayed quality lies within the interval of the difference."""
        if self.difference.high < 0:
            return "does not hold: the live quality is lower"
        return "holds" if self.difference.low <= 0 else "holds: the live quality is higher"


def held(
    live: Measured, replayed: Measured, curves: Mapping[str, str], *, seed: int = 0
) -> list[Holding]:
    """Return how each live arm, of one setting, compares.

    `curves` names the replayed arm of each policy, whose settings are a curve; all other arms are
    static plans, of one setting in both.
    """
    names, places = np.unique(live.sets, return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = _draws(np.arange(len(places)), rng)
    shares = np.stack([(places[draws] == at).mean(axis=1) for at in range(len(names))])
    ours = _Means(live, [(np.ones(len(draws)), draws)])
    sets = np.array(replayed.sets)
    within = [_draws(np.flatnonzero(sets == name), rng) for name in names]
    theirs = _Means(replayed, [*zip(shares, within, strict=True)])
    static = [arm for arm in live.quality if arm not in curves]
    return [_held(arm, ours, theirs, static, curves.get(arm)) for arm in live.quality]


Rows = NDArray[np.intp]
Strata = Sequence[tuple[Doubles, Rows]]
"""Of each stratum its share and its rows, [1 + replicates] and [1 + replicates, prompts]."""


class _Means:
    """Mean qualities and costs [1 + replicates, settings]; the first are of the prompts as is."""

    def __init__(self, measured: Measured, strata: Strata) -> None:
        self.quality = {arm: _mean(one, strata) for arm, one in measured.quality.items()}
        self.cost = {arm: _mean(one, strata) for arm, one in measured.cost.items()}

    def on_curve(self, arms: Sequence[str], costs: Doubles) -> Doubles:
        """Return what mixtures of arms and settings reach at costs [1 + replicates, 1]."""
        hulls = upper_hulls(
            np.concatenate([self.cost[arm] for arm in arms], axis=1),
            np.concatenate([self.quality[arm] for arm in arms], axis=1),
        )
        reached: Doubles = hulls.quality_at(np.maximum(costs, hulls.costs[:, :1]))
        return reached


def _draws(rows: Rows, rng: np.random.Generator) -> Rows:
    """Return the rows, then as many of them for each replicate; raises ValueError without any."""
    drawn = rng.choice(rows, size=(REPLICATES, len(rows)))
    return np.concatenate([rows[None], drawn])


def _mean(values: Doubles, strata: Strata) -> Doubles:
    means = [share[:, None] * values[rows].mean(axis=1) for share, rows in strata]
    total: Doubles = np.sum(means, axis=0)
    return total


def _held(
    arm: str, ours: _Means, theirs: _Means, static: Sequence[str], curve: str | None
) -> Holding:
    quality, cost = ours.quality[arm], ours.cost[arm]
    if curve is None:
        replayed, replayed_cost = theirs.quality[arm], theirs.cost[arm]
    else:
        replayed, replayed_cost = theirs.on_curve([curve], cost), cost
    gain = quality - ours.on_curve(static, cost)
    replayed_gain = replayed - theirs.on_curve(static, replayed_cost)
    figures = (quality, cost, replayed, replayed_cost, quality - replayed, gain, replayed_gain)
    return Holding(arm, *(interval(one[:, 0]) for one in figures))
