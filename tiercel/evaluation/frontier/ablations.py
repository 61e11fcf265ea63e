"""What each part of the router is worth: the same replay without it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tiercel.evaluation.frontier.beliefs import Beliefs, believed
from tiercel.evaluation.frontier.cascades import Stopping, inducted
from tiercel.evaluation.frontier.contenders import ORACLE, STATIC, Contender, has_evidence
from tiercel.evaluation.frontier.figures import static_points
from tiercel.evaluation.frontier.fold import PROBE_TOKENS, Fold
from tiercel.evaluation.frontier.folds import Split
from tiercel.evaluation.frontier.measures import gap_closed, references_of
from tiercel.evaluation.frontier.points import Points, joined
from tiercel.evaluation.frontier.replicates import REPLICATES, hulls_of, interval, resampled
from tiercel.evaluation.frontier.sweeps import Sweep, predicted
from tiercel.evaluation.frontier.table import Floats, Table
from tiercel.evaluation.statistics import Estimate
from tiercel.prediction.examples import Examples

_SHARES = (0.125, 0.25, 0.5)
_UTILITY = Sweep("utility", predicted)
_Changed = tuple[str, Callable[[Fold], Fold], Contender]
"""A variant's name, what is changed of each fold, and who replays it."""


@dataclass(frozen=True)
class Variant:
    """A router that differs in one thing."""

    name: str
    gap_closed: Estimate
    loss: Estimate  # of gap closed, against the whole router; above 0 is worse


def ablated(
    table: Table,
    folds: Sequence[Fold],
    whole: Points,
    oracle: Points,
    *,
    num_signals: int,
    num_weights: int = 20,
    num_replicates: int = REPLICATES,
    embedded: Floats | None = None,
) -> list[Variant]:
    """Return what is left of the gap closed without one thing at a time.

    `whole` are the points of utility as it is; the last `num_signals` features are signals of the
    text, those before them hashed n-grams. Cascades are fitted for `num_weights` weights. With
    `embedded` [n, size], the prompts' embeddings, these stand beside the n-grams or replace them.
    """
    points = {STATIC: static_points(table), ORACLE: oracle, "whole": whole}
    variants = (*_of_text(table, num_signals, embedded), *_of_evidence(table, num_weights))
    for name, changed, contender in variants:
        # One fold at a time: each holds its own copy of the features.
        parts = [contender.replay(changed(fold)) for fold in folds]
        points[name] = joined(parts, [fold.split.test for fold in folds])
    references = references_of(table.costs.mean(axis=0), table.scores.mean(axis=0))
    means = resampled(points, table.examples.groups, num_replicates)
    areas = {name: hulls_of(one).areas(references) for name, one in means.items()}
    closed = {
        name: gap_closed(one, areas[STATIC], areas[ORACLE])
        for name, one in areas.items()
        if name not in (STATIC, ORACLE)
    }
    return [
        Variant(name, interval(one), interval(closed["whole"] - one))
        for name, one in closed.items()
    ]


def _of_text(table: Table, num_signals: int, embedded: Floats | None) -> Iterator[_Changed]:
    hashed = slice(0, table.examples.features.shape[1] - num_signals)
    signals = slice(hashed.stop, None)
    yield "signals of the text only", partial(_blind, columns=hashed), _UTILITY
    yield "hashed n-grams only", partial(_blind, columns=signals), _UTILITY
    yield "calibrated on its training prompts", _calibrated_on_train, _UTILITY
    for share in _SHARES:
        yield f"{share:.1%} of the training prompts", partial(_fewer, share=share), _UTILITY
    if embedded is not None:
        beside = partial(_beside, rows=embedded)
        yield "MiniLM beside hashed n-grams", beside, _UTILITY
        yield (
            "MiniLM in place of hashed n-grams",
            lambda fold: beside(_blind(fold, hashed)),
            _UTILITY,
        )


def _of_evidence(table: Table, num_weights: int) -> Iterator[_Changed]:
    if not has_evidence(table):
        return
    told = Sweep("told", _told_evidence)
    yield f"told {PROBE_TOKENS} tokens of every plan for nothing", _as_it_is, told
    for stages in _depths(len(table.plan_names)):
        names = ", ".join(table.plan_names[at] for at in stages)
        contender = Stopping(names, inducted, stages=stages, num_weights=num_weights)
        yield f"cascade of {len(stages)}: {names}", _as_it_is, contender
    yield f"cascade of {len(stages)} without evidence", _without_evidence, contender


def _depths(num_plans: int) -> list[tuple[int, ...]]:
    """Return every pair of stages, and all of them."""
    pairs: list[tuple[int, ...]] = [
        (at, other) for other in range(num_plans) for at in range(other)
    ]
    return [*pairs, tuple(range(num_plans))] if num_plans > 2 else pairs


def _as_it_is(fold: Fold) -> Fold:
    return fold


def _told_evidence(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return what is believed once every plan's first tokens are known: no plan is that cheap."""

    def of(table: Table) -> Beliefs:
        evidence = table.prefixes[PROBE_TOKENS].evidence
        return believed(fold.forecaster, fold.costs, table, evidence)

    return of(fold.validation), of(fold.test)


def _without_evidence(fold: Fold) -> Fold:
    """Return the fold with answers that all look alike: kinds are all that is known of them."""
    evidence = np.zeros_like(fold.table.examples.evidence)
    return _with(fold, replace(fold.table.examples, evidence=evidence))


def _beside(fold: Fold, rows: Floats) -> Fold:
    """Return the fold with further features, [n, size]."""
    features = np.hstack((fold.table.examples.features, rows))
    return _with(fold, replace(fold.table.examples, features=features))


def _blind(fold: Fold, columns: slice) -> Fold:
    """Return the fold with some features always 0."""
    features = fold.table.examples.features.copy()
    features[:, columns] = 0
    return _with(fold, replace(fold.table.examples, features=features))


def _with(fold: Fold, examples: Examples) -> Fold:
    """Return the fold with other examples, nothing of it fitted yet."""
    return Fold(replace(fold.table, examples=examples), fold.split, fold.fitter, fold.overhead)


def _calibrated_on_train(fold: Fold) -> Fold:
    """Return the fold without a split of its own for calibration."""
    split = replace(fold.split, calibration=fold.split.train)
    return Fold(fold.table, split, fold.fitter, fold.overhead)


def _fewer(fold: Fold, share: float) -> Fold:
    """Return the fold with a random share of its training prompts."""
    order = np.random.default_rng(0).permutation(fold.split.train)
    kept = np.sort(order[: max(2, round(share * len(order)))])
    split = Split(kept, fold.split.calibration, fold.split.validation, fold.split.test)
    return Fold(fold.table, split, fold.fitter, fold.overhead)
