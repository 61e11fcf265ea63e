"""The whole comparison on one table: replays, figures, kinds, ablations; no file is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tiercel.evaluation.frontier.ablations import Variant, ablated
from tiercel.evaluation.frontier.beliefs import Fitter
from tiercel.evaluation.frontier.contenders import (
    ORACLE,
    RIDGE,
    UTILITY,
    Contender,
    contenders_of,
)
from tiercel.evaluation.frontier.figures import Comparison, compared
from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.folds import leave_one_out, splits
from tiercel.evaluation.frontier.hashed_ridge import hashed_ridge
from tiercel.evaluation.frontier.luck import Luck, without_luck
from tiercel.evaluation.frontier.points import Points, joined
from tiercel.evaluation.frontier.predictions import Predictions, judged
from tiercel.evaluation.frontier.provenance import Provenance, provenance
from tiercel.evaluation.frontier.replicates import REPLICATES, holm
from tiercel.evaluation.frontier.shares import Place, Shares, places, routing_shares
from tiercel.evaluation.frontier.sweeps import Oracle, Sweep, predicted
from tiercel.evaluation.frontier.table import Floats, Table
from tiercel.routing.registry import Factory

Told = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How a comparison is made."""

    fitter: Fitter
    num_signals: int  # of the features' last numbers, which are no hashed n-grams
    overhead: float = 0.0  # of a decision, in the table's unit of cost
    seed: int = 0
    with_ablations: bool = False
    num_replicates: int = REPLICATES
    num_weights: int = 20  # for which stopping rules are fitted
    embedded: Floats | None = None  # [n, size], of the prompts; only ablations look at it
    policies: Mapping[str, Factory] = field(default_factory=dict)  # beside those of the router

    def compared(self, table: Table, points: Mapping[str, Points]) -> Comparison:
        """Return the figures of some points."""
        return compared(table, points, seed=self.seed, num_replicates=self.num_replicates)


@dataclass(frozen=True)
class PlanMeans:
    """One plan by itself."""

    name: str
    is_lossy: bool
    score: float
    cost: float


@dataclass(frozen=True)
class LossSplit:
    """What routing wins among roots alone, and among all plans, lossy ones too."""

    roots: Comparison
    everything: Comparison


@dataclass(frozen=True)
class Report:
    """All that was found on one table."""

    name: str
    cost_unit: str
    overhead: float
    seed: int
    made_with: Provenance
    sources: Mapping[str, str]
    plans: tuple[PlanMeans, ...]
    everything: Comparison
    by_kind: Mapping[str, Comparison]
    not_routed: Mapping[str, str]  # kinds without anything to route, and why
    chances_of_none: Mapping[str, float]  # by kind, one-sided, adjusted for all kinds (Holm)
    left_out: Comparison | None  # every data set as one never seen; None if others teach nothing
    lossiness: LossSplit | None
    predictions: tuple[Predictions, ...]
    luck: Luck | None
    shares: tuple[Shares, ...]
    places: tuple[Place, ...]
    ablations: tuple[Variant, ...] = field(default=())


def evaluated(table: Table, settings: Settings, told: Told = lambda text: None) -> Report:
    """Return the report of a table; `told` hears what is being done.

    Raises ValueError where the best plan is the cheapest one.
    """
    made_with = provenance()  # first, as a run is long and its code is what was there at its start
    folds = _folds(table, settings)
    contenders = contenders_of(table, settings.num_weights, settings.policies)
    points = {one.name: _replayed(one, folds, told) for one in contenders}
    told("figures")
    everything = settings.compared(table, points)
    by_kind, not_routed = _by_kind(table, points, settings)
    chances = {kind: one.of(UTILITY).chance_of_none for kind, one in by_kind.items()}
    middle = everything.operating_costs[len(everything.operating_costs) // 2]
    return Report(
        name=table.name,
        cost_unit=table.cost_unit,
        overhead=settings.overhead,
        seed=settings.seed,
        made_with=made_with,
        sources=table.sources,
        plans=_plans(table),
        everything=everything,
        by_kind=by_kind,
        not_routed=not_routed,
        chances_of_none=holm(chances),
        left_out=_left_out(table, settings, points[ORACLE], told),
        lossiness=_lossiness(table, settings, told),
        predictions=tuple(judged(table, folds)),
        luck=without_luck(table, points[UTILITY], settings.num_replicates),
        shares=tuple(routing_shares(table, points[UTILITY], everything.operating_costs)),
        places=tuple(places(table, points[UTILITY], middle)),
        ablations=_ablations(table, folds, points, settings, told),
    )


def _folds(table: Table, settings: Settings) -> list[Fold]:
    examples = table.examples
    return [
        Fold(table, split, settings.fitter, settings.overhead)
        for split in splits(examples.groups, examples.kinds, settings.seed)
    ]


def _replayed(contender: Contender, folds: Sequence[Fold], told: Told) -> Points:
    told(contender.name)
    parts = [contender.replay(fold) for fold in folds]
    return joined(parts, [fold.split.test for fold in folds])


def _plans(table: Table) -> tuple[PlanMeans, ...]:
    scores, costs = table.scores.mean(axis=0).tolist(), table.costs.mean(axis=0).tolist()
    lossy = table.lossy or (False,) * len(table.plan_names)
    return tuple(map(PlanMeans, table.plan_names, lossy, scores, costs))


def _by_kind(
    table: Table, points: Mapping[str, Points], settings: Settings
) -> tuple[dict[str, Comparison], dict[str, str]]:
    """Return comparisons within each kind, at the settings that were chosen for all of them."""
    found, not_routed = {}, {}
    for kind in dict.fromkeys(table.examples.kinds):
        index = np.flatnonzero(table.kinds == kind)
        some = {name: one.rows(index) for name, one in points.items()}
        try:
            found[kind] = settings.compared(table.rows(index), some)
        except ValueError as error:
            not_routed[kind] = str(error)
    return found, not_routed


def _left_out(table: Table, settings: Settings, oracle: Points, told: Told) -> Comparison | None:
    examples = table.examples
    splits_of = [
        split for _, split in leave_one_out(examples.groups, examples.kinds, settings.seed)
    ]
    if not all(
        len(one.train) and len(one.calibration) and len(one.validation) for one in splits_of
    ):
        return None
    told("data sets left out")
    folds = [Fold(table, split, settings.fitter, settings.overhead) for split in splits_of]
    contenders = (Sweep(UTILITY, predicted), Sweep(RIDGE, hashed_ridge))
    points = {one.name: _replayed(one, folds, told) for one in contenders}
    return settings.compared(table, {**points, ORACLE: oracle})


def _lossiness(table: Table, settings: Settings, told: Told) -> LossSplit | None:
    roots = [at for at, is_lossy in enumerate(table.lossy) if not is_lossy]
    if len(roots) < 2 or len(roots) == len(table.plan_names):
        return None
    told("roots alone")
    return LossSplit(_routed(table.plans(roots), settings), _routed(table, settings))


def _routed(table: Table, settings: Settings) -> Comparison:
    """Return the comparison of utility with static plans and the oracle only."""
    folds = _folds(table, settings)
    contenders: tuple[Contender, ...] = (Sweep(UTILITY, predicted), Oracle(ORACLE))
    points = {one.name: _replayed(one, folds, lambda text: None) for one in contenders}
    return settings.compared(table, points)


def _ablations(
    table: Table,
    folds: Sequence[Fold],
    points: Mapping[str, Points],
    settings: Settings,
    told: Told,
) -> tuple[Variant, ...]:
    if not settings.with_ablations:
        return ()
    told("ablations")
    found = ablated(
        table,
        folds,
        points[UTILITY],
        points[ORACLE],
        num_signals=settings.num_signals,
        num_weights=settings.num_weights,
        num_replicates=settings.num_replicates,
        embedded=settings.embedded,
    )
    return tuple(found)
