"""Where prompts are sent, and where that wins and loses: by kind, at a few settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.figures import static_points
from tiercel.evaluation.frontier.hull import Doubles, upper_hulls
from tiercel.evaluation.frontier.points import Points
from tiercel.evaluation.frontier.table import Table

_FEWEST = 20  # prompts of a stratum that is shown by itself


@dataclass(frozen=True)
class Shares:
    """The setting whose mean cost is nearest to an operating cost."""

    cost: float
    by_kind: Mapping[str, Mapping[str, float]]  # of each plan


@dataclass(frozen=True)
class Place:
    """One stratum at the middle setting, against static plans mixed to the same mean cost."""

    stratum: str
    num_prompts: int
    quality_gain: float
    cost_gain: float  # what it was given more than its share, in the table's unit


def routing_shares(table: Table, points: Points, costs: Sequence[float]) -> list[Shares]:
    """Return the plans' shares by kind at the settings nearest to some mean costs."""
    if points.odds is None:
        return []
    found = []
    for cost in costs:
        at = _setting(points, cost)
        odds = points.odds[:, at]
        by_kind = {
            str(kind): dict(
                zip(
                    table.plan_names,
                    odds[table.kinds == kind].mean(axis=0, dtype=np.float64).tolist(),
                    strict=True,
                )
            )
            for kind in np.unique(table.kinds)
        }
        found.append(Shares(float(points.cost[:, at].mean()), by_kind))
    return found


def places(table: Table, points: Points, cost: float) -> list[Place]:
    """Return where it wins and loses at the setting nearest to a mean cost, the best gain first."""
    at = _setting(points, cost)
    spent = points.cost[:, at].astype(np.float64)
    mixed_quality, mixed_cost = _mixed(table, float(spent.mean()))
    gains = points.quality[:, at] - mixed_quality
    strata = np.array(table.strata)
    found = []
    for stratum in np.unique(strata):
        own = strata == stratum
        if own.sum() >= _FEWEST:
            more = float((spent - mixed_cost)[own].mean())
            found.append(Place(str(stratum), int(own.sum()), float(gains[own].mean()), more))
    return sorted(found, key=lambda place: -place.quality_gain)


def _mixed(table: Table, cost: float) -> tuple[Doubles, Doubles]:
    """Return each prompt's quality and cost under static plans, mixed at random to a mean cost."""
    plans = static_points(table)
    means, qualities = plans.cost.mean(axis=0, dtype=np.float64), table.scores.mean(axis=0)
    hull = upper_hulls(means[None, :], qualities[None, :])
    corners = np.unique(hull.costs[0])
    high = min(int(np.searchsorted(corners, cost)), len(corners) - 1)
    low = max(0, high - 1)
    span = corners[high] - corners[low]
    share = float(np.clip((cost - corners[low]) / span, 0, 1)) if span else 1.0
    one, other = (int(np.abs(means - corners[end]).argmin()) for end in (low, high))
    return (
        (1 - share) * table.scores[:, one] + share * table.scores[:, other],
        (1 - share) * table.costs[:, one] + share * table.costs[:, other],
    )


def _setting(points: Points, cost: float) -> int:
    return int(np.abs(points.cost.mean(axis=0, dtype=np.float64) - cost).argmin())
