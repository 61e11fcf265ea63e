"""Figures that are read off frontiers: ours, and those that other routers publish.

What they share with their published code is the definition. PGR, APGR and CPT are RouteLLM's
(arXiv:2406.18665), AIQ is RouterBench's (arXiv:2403.12031).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.hull import Doubles, Hulls, References, upper_hulls

OPERATING_SHARES = (0.25, 0.5, 0.75)
"""Where quality at equal cost, and cost at equal quality, are read: between cheapest and best."""
_CPT_STEPS = 1000


@dataclass(frozen=True)
class Curve:
    """The points of one contender, [points], cheap or dear in any order."""

    costs: Doubles
    qualities: Doubles

    @property
    def hulls(self) -> Hulls:
        """Its upper concave hull, as a batch of one."""
        return upper_hulls(self.costs[None, :], self.qualities[None, :])


def references_of(costs: Doubles, qualities: Doubles) -> References:
    """Return the references that the plans' own means set, shapes [plans].

    Raises ValueError if the best plan is the cheapest: then there is nothing to route.
    """
    cheapest = int(np.lexsort((-qualities, costs))[0])
    best = int(np.lexsort((costs, -qualities))[0])
    if not costs[best] > costs[cheapest]:
        raise ValueError("the best plan is the cheapest one")
    return References(float(costs[cheapest]), float(costs[best]), float(qualities[cheapest]))


def area(curve: Curve, references: References) -> float:
    """Return the mean of what lies above the reference's quality, between its costs."""
    return float(curve.hulls.areas(references)[0])


def gap_closed(area: Doubles, static: Doubles, oracle: Doubles) -> Doubles:
    """Return which share of the area between all static plans and the oracle is won."""
    gap = np.asarray(oracle) - static
    closed: Doubles = np.where(gap > 0, (area - static) / np.where(gap > 0, gap, 1.0), np.nan)
    return closed


def equivalent_gap(area_gain: float, static: float, oracle: float) -> float:
    """Return the gap that is closed by an area that is `area_gain` (0.25 for 25 %) over static."""
    return area_gain * static / (oracle - static)


def recovered(quality: Doubles, weak: float, strong: float) -> Doubles:
    """Return PGR: which share of what the strong plan has over the weak one is reached."""
    share: Doubles = (np.asarray(quality) - weak) / (strong - weak)
    return share


def strong_share_curve(shares: Doubles, qualities: Doubles, weak: float, strong: float) -> Curve:
    """Return PGR against the share of calls that the strong plan gets, its two ends included."""
    ends = np.array([0.0, 1.0])
    return Curve(
        np.concatenate([ends, shares]),
        np.concatenate([ends, recovered(qualities, weak, strong)]),
    )


def average_recovered(curve: Curve) -> float:
    """Return APGR: the mean of PGR over all shares of strong calls, on straight lines."""
    shares, values = _by_cost(curve)
    return float(np.trapezoid(values, shares))


def calls_for(curve: Curve, recovered_share: float) -> float:
    """Return CPT: the least share of strong calls with at least so much PGR, on straight lines."""
    shares = np.linspace(0.0, 1.0, _CPT_STEPS + 1)
    values = np.interp(shares, *_by_cost(curve))
    return float(shares[np.argmax(values >= recovered_share - 1e-12)])


def average_improvement(curve: Curve, low: float, high: float) -> float:
    """Return AIQ: the mean height of the hull from cost `low` to `high`, to be given for all alike.

    The hull goes on flat to both sides, as the published figure does.
    """
    hulls = curve.hulls
    costs, values = hulls.costs[0], hulls.qualities[0]
    inner = costs[(costs > low) & (costs < high)]
    at = np.unique(np.concatenate([[low], inner, [high]]))
    return float(np.trapezoid(np.interp(at, costs, values), at) / (high - low))


def operating_costs(references: References, shares: Sequence[float] = OPERATING_SHARES) -> Doubles:
    """Return the costs at which contenders are compared."""
    span = references.cost_high - references.cost_low
    return references.cost_low + np.asarray(shares, np.float64) * span


def operating_qualities(
    references: References, best: float, shares: Sequence[float] = OPERATING_SHARES
) -> Doubles:
    """Return the qualities at which contenders' costs are compared."""
    span = best - references.quality
    return references.quality + np.asarray(shares, np.float64) * span


def _by_cost(curve: Curve) -> tuple[Doubles, Doubles]:
    """Return the points in the order of their cost, equal costs at their mean quality."""
    costs, where = np.unique(curve.costs, return_inverse=True)
    sums = np.bincount(where, weights=curve.qualities)
    return costs, sums / np.bincount(where)
