"""The figures of a comparison, each with its interval from the same replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.contenders import BANDIT, ORACLE, STATIC
from tiercel.evaluation.frontier.hull import Doubles, Hulls, References
from tiercel.evaluation.frontier.measures import (
    Curve,
    average_improvement,
    average_recovered,
    calls_for,
    equivalent_gap,
    gap_closed,
    operating_costs,
    operating_qualities,
    references_of,
    strong_share_curve,
)
from tiercel.evaluation.frontier.points import Points
from tiercel.evaluation.frontier.replicates import (
    REPLICATES,
    chance_of_none,
    hulls_of,
    interval,
    resampled,
)
from tiercel.evaluation.frontier.table import Table
from tiercel.evaluation.statistics import Estimate

CALL_SHARES = (0.5, 0.8)


@dataclass(frozen=True)
class StrongCalls:
    """RouteLLM's figures, of two plans only."""

    average_recovered: float  # APGR
    calls_for: Mapping[str, float]  # CPT, by share of the gap that is recovered


@dataclass(frozen=True)
class ContenderFigures:
    """One contender against the hull of all static plans."""

    name: str
    costs: tuple[float, ...]  # its points, as they are drawn
    qualities: tuple[float, ...]
    area: Estimate
    gap_closed: Estimate
    area_gain: Estimate  # over static, as a share; the reference is the cheapest plan's quality
    area_gain_from_zero: Estimate  # the same, the reference being quality 0
    gain_at_best: Estimate  # of its best point's quality, against static at that point's cost
    quality_gains: tuple[Estimate, ...]  # at equal cost, against static
    cost_savings: tuple[Estimate, ...]  # at equal quality, as a share of what static takes
    over_bandit: tuple[Estimate, ...]  # relative quality at equal cost, against metallm
    average_improvement: float  # AIQ, over the costs of the references
    strong_calls: StrongCalls | None
    chance_of_none: float  # one-sided p of no gain in area


@dataclass(frozen=True)
class Comparison:
    """All contenders on the same prompts."""

    num_prompts: int
    num_groups: int
    references: References
    operating_costs: tuple[float, ...]
    operating_qualities: tuple[float, ...]
    equivalent_gap: float  # closed by an area 25 % over static
    contenders: tuple[ContenderFigures, ...]

    def of(self, name: str) -> ContenderFigures:
        """Return one contender's figures."""
        return next(one for one in self.contenders if one.name == name)


def compared(
    table: Table,
    points: Mapping[str, Points],
    *,
    seed: int = 0,
    num_replicates: int = REPLICATES,
) -> Comparison:
    """Return the figures of contenders' points on a table's prompts, the oracle's among them.

    Raises ValueError where the best plan is the cheapest: there is nothing to route.
    """
    references = references_of(table.costs.mean(axis=0), table.scores.mean(axis=0))
    everyone = {STATIC: static_points(table), **points}
    means = resampled(everyone, table.examples.groups, num_replicates, seed)
    judge = _Judge(table, references, {name: hulls_of(each) for name, each in means.items()})
    return Comparison(
        num_prompts=len(table),
        num_groups=len(set(table.examples.groups)),
        references=references,
        operating_costs=tuple(judge.costs.tolist()),
        operating_qualities=tuple(judge.qualities.tolist()),
        equivalent_gap=equivalent_gap(0.25, judge.static[0], judge.oracle[0]),
        contenders=tuple(judge.figures(name, everyone[name], means[name]) for name in everyone),
    )


def static_points(table: Table) -> Points:
    """Return every plan by itself, and nothing is charged for deciding."""
    count, plans = table.costs.shape
    odds = np.broadcast_to(np.eye(plans, dtype=np.float32), (count, plans, plans))
    return Points(table.scores.astype(np.float32), table.costs.astype(np.float32), odds)


class _Judge:
    """Reads figures off the hulls of all replicates."""

    def __init__(self, table: Table, references: References, hulls: Mapping[str, Hulls]) -> None:
        self._table, self._references, self._hulls = table, references, hulls
        self._from_zero = References(references.cost_low, references.cost_high, 0.0)
        self.static = hulls[STATIC].areas(references)
        self.oracle = hulls[ORACLE].areas(references)
        self.costs = operating_costs(references)
        self.qualities = operating_qualities(references, float(table.scores.mean(axis=0).max()))

    def figures(
        self, name: str, points: Points, means: tuple[Doubles, Doubles]
    ) -> ContenderFigures:
        hulls = self._hulls[name]
        areas = hulls.areas(self._references)
        low, high = self._references.cost_low, self._references.cost_high
        curve = Curve(means[0][0], means[1][0])
        return ContenderFigures(
            name=name,
            costs=tuple(curve.costs.tolist()),
            qualities=tuple(curve.qualities.tolist()),
            area=interval(areas),
            gap_closed=interval(gap_closed(areas, self.static, self.oracle)),
            area_gain=interval(_ratio(areas, self.static) - 1),
            area_gain_from_zero=interval(self._gain_from_zero(hulls)),
            gain_at_best=interval(self._gain_at_best(hulls)),
            quality_gains=_intervals(self._quality_gains(hulls)),
            cost_savings=_intervals(1 - _ratio(self._cost(hulls), self._cost(self._hulls[STATIC]))),
            over_bandit=self._over_bandit(hulls),
            average_improvement=average_improvement(curve, low, high),
            strong_calls=self._strong_calls(points),
            chance_of_none=chance_of_none(areas - self.static),
        )

    def _gain_from_zero(self, hulls: Hulls) -> Doubles:
        return _ratio(hulls.areas(self._from_zero), self._hulls[STATIC].areas(self._from_zero)) - 1

    def _gain_at_best(self, hulls: Hulls) -> Doubles:
        gains: Doubles = (
            hulls.qualities[:, -1] - self._hulls[STATIC].quality_at(hulls.costs[:, -1:])[:, 0]
        )
        return np.where(np.isfinite(gains), gains, np.nan)

    def _quality_gains(self, hulls: Hulls) -> Doubles:
        with np.errstate(invalid="ignore"):  # where neither has so cheap a setting
            return self._quality(hulls) - self._quality(self._hulls[STATIC])

    def _quality(self, hulls: Hulls) -> Doubles:
        """Return the quality at the operating costs, [replicates, costs]."""
        return hulls.quality_at(np.broadcast_to(self.costs, (len(hulls.costs), len(self.costs))))

    def _cost(self, hulls: Hulls) -> Doubles:
        wanted = np.broadcast_to(self.qualities, (len(hulls.costs), len(self.qualities)))
        return hulls.cost_at(wanted)

    def _over_bandit(self, hulls: Hulls) -> tuple[Estimate, ...]:
        if BANDIT not in self._hulls:
            return ()
        return _intervals(_ratio(self._quality(hulls), self._quality(self._hulls[BANDIT])) - 1)

    def _strong_calls(self, points: Points) -> StrongCalls | None:
        if len(self._table.plan_names) != 2 or points.odds is None:
            return None
        weak, strong = self._table.scores.mean(axis=0).tolist()
        shares = points.odds[:, :, 1].mean(axis=0, dtype=np.float64)
        qualities = points.quality.mean(axis=0, dtype=np.float64)
        curve = strong_share_curve(shares, qualities, weak, strong)
        return StrongCalls(
            average_recovered(curve),
            {f"{share:.0%}": calls_for(curve, share) for share in CALL_SHARES},
        )


def _intervals(values: Doubles) -> tuple[Estimate, ...]:
    return tuple(interval(column) for column in values.T)


def _ratio(one: Doubles, other: Doubles) -> Doubles:
    """Return one / other; NaN where either does not exist."""
    exists = np.isfinite(one) & np.isfinite(other) & (other > 0)
    ratio: Doubles = np.where(exists, one / np.where(exists, other, 1.0), np.nan)
    return ratio


def names_of(comparison: Comparison) -> Sequence[str]:
    """Return the contenders by gap closed, the best first; the oracle and static plans aside."""
    found = [one for one in comparison.contenders if one.name not in (STATIC, ORACLE)]
    return [one.name for one in sorted(found, key=lambda one: -one.gap_closed.mean)]
