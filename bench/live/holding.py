"""Whether what was replayed on the matrix holds for prompts that it never saw.

Prompts are drawn anew with replacement, live and replayed ones each by themselves, within each set;
the replayed means weigh sets as the live prompts do. All arms are drawn together.
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
    shares = {name: live.sets.count(name) / len(live.sets) for name in dict.fromkeys(live.sets)}
    rng = np.random.default_rng(seed)
    ours = _Means(live, shares, rng)
    theirs = _Means(replayed, shares, rng)
    static = [arm for arm in live.quality if arm not in curves]
    return [_held(arm, ours, theirs, static, curves.get(arm)) for arm in live.quality]


class _Means:
    """Mean qualities and costs [1 + replicates, settings]; the first are of the prompts as is."""

    def __init__(
        self, measured: Measured, shares: Mapping[str, float], rng: np.random.Generator
    ) -> None:
        sets = np.array(measured.sets)
        draws = [
            (share, _drawn(np.flatnonzero(sets == name), rng)) for name, share in shares.items()
        ]
        self.quality = {arm: _mean(one, draws) for arm, one in measured.quality.items()}
        self.cost = {arm: _mean(one, draws) for arm, one in measured.cost.items()}

    def on_curve(self, arms: Sequence[str], costs: Doubles) -> Doubles:
        """Return what mixtures of arms and settings reach at costs [1 + replicates, 1]."""
        hulls = upper_hulls(
            np.concatenate([self.cost[arm] for arm in arms], axis=1),
            np.concatenate([self.quality[arm] for arm in arms], axis=1),
        )
        reached: Doubles = hulls.quality_at(np.maximum(costs, hulls.costs[:, :1]))
        return reached


def _drawn(rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    drawn = rng.choice(rows, size=(REPLICATES, len(rows)))
    return np.concatenate([rows[None], drawn])


def _mean(values: Doubles, draws: Sequence[tuple[float, NDArray[np.intp]]]) -> Doubles:
    means = [share * values[rows].mean(axis=1) for share, rows in draws]
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
