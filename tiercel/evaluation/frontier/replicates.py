"""A paired group bootstrap: every figure is computed anew from each resample of the groups.

Contenders are resampled together, so that what is common to them cancels in differences.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.frontier.hull import Hulls, upper_hulls
from tiercel.evaluation.frontier.points import Points
from tiercel.evaluation.statistics import Estimate

Doubles = NDArray[np.float64]

REPLICATES = 2_000
_CHUNK = 250


def resampled(
    points: Mapping[str, Points],
    groups: Sequence[str],
    num_replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, tuple[Doubles, Doubles]]:
    """Return each contender's mean costs and qualities, [1 + replicates, its points].

    The first row is of the prompts as they are; the others are of as many groups, drawn with
    replacement. A mean is over prompts, so large groups weigh more.
    """
    names, place = np.unique(np.array(groups), return_inverse=True)
    sums = _sums_by_group(points, place, len(names))
    totals = [sums.sum(axis=0, keepdims=True)]
    random = np.random.default_rng(seed)
    for start in range(0, num_replicates, _CHUNK):
        count = min(_CHUNK, num_replicates - start)
        weights = random.multinomial(len(names), np.full(len(names), 1 / len(names)), count)
        totals.append(weights.astype(np.float64) @ sums)
    everything = np.concatenate(totals)
    means = everything[:, 1:] / everything[:, :1]
    return _by_contender(points, means)


def hulls_of(costs_and_qualities: tuple[Doubles, Doubles]) -> Hulls:
    """Return the hull of each replicate."""
    return upper_hulls(*costs_and_qualities)


def interval(values: Doubles) -> Estimate:
    """Return the first value with the percentile interval (95 %) of the others.

    `count` is that of the replicates in which the figure exists.
    """
    replicates = values[1:][np.isfinite(values[1:])]
    if not len(replicates) or not np.isfinite(values[0]):
        return Estimate(float(values[0]), float("nan"), float("nan"), len(replicates))
    low, high = np.percentile(replicates, (2.5, 97.5)).tolist()
    return Estimate(float(values[0]), low, high, len(replicates))


def chance_of_none(values: Doubles) -> float:
    """Return the one-sided p of no gain: the share of replicates that are not above 0."""
    replicates = values[1:]
    return float((1 + (~(replicates > 0)).sum()) / (1 + len(replicates)))


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values of several tests at once, adjusted as Holm (1979) does."""
    adjusted, highest = {}, 0.0
    order = sorted(chances, key=lambda name: chances[name])
    for rank, name in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * chances[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in chances}


def _sums_by_group(points: Mapping[str, Points], place: NDArray[np.intp], count: int) -> Doubles:
    """Return [groups, 1 + columns]: prompts, then sums of every cost and quality."""
    columns = [np.ones((len(place), 1))]
    for one in points.values():
        columns += [one.cost.astype(np.float64), one.quality.astype(np.float64)]
    values = np.concatenate(columns, axis=1)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(count))
    sums: Doubles = np.add.reduceat(values[order], starts, axis=0)
    return sums


def _by_contender(
    points: Mapping[str, Points], means: Doubles
) -> dict[str, tuple[Doubles, Doubles]]:
    found, start = {}, 0
    for name, one in points.items():
        width = one.cost.shape[1]
        costs, qualities = means[:, start : start + width], means[:, start + width :][:, :width]
        found[name] = (costs, qualities)
        start += 2 * width
    return found
