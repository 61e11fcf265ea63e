"""What the matrix says of static plans and policies, each prompt tested by what never saw it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.live.holding import Measured
from tiercel.evaluation.frontier.contenders import UTILITY, contenders_of
from tiercel.evaluation.frontier.fold import PROBE_TOKENS, Fold
from tiercel.evaluation.frontier.folds import splits
from tiercel.evaluation.frontier.matrix_tables import TEXTS, matrix_table
from tiercel.evaluation.frontier.points import joined
from tiercel.evaluation.frontier.table import Table
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.step_cost import StepTimes
from tiercel.prediction.quality import QualitySettings, features, fit_quality

CASCADE = f"cascade after {PROBE_TOKENS} tokens"
OVERHEAD_S = 0.001  # of a decision, as `tiercel eval frontier` charges it


def table_of(cells: Sequence[Cells], tiers: Sequence[str], data: Path, times: StepTimes) -> Table:
    """Return the prompts that all tiers answered with texts; raises InvalidRequest."""
    own = [one for one in cells if one.manifest.column in tiers]
    return matrix_table(TEXTS, own, data, times, lambda one: features(tuple(one), temperature=0.0))


def replayed(table: Table, *, seed: int, told: Callable[[str], None]) -> Measured:
    """Return every static plan, and the curves of `utility` and of the cascade."""
    folds = [
        Fold(
            table,
            split,
            lambda train, calibration: fit_quality(
                train, calibration, settings=QualitySettings(), seed=seed
            ),
            OVERHEAD_S,
        )
        for split in splits(table.examples.groups, table.examples.kinds, seed)
    ]
    quality = {name: table.scores[:, [at]] for at, name in enumerate(table.plan_names)}
    cost = {name: table.costs[:, [at]] for at, name in enumerate(table.plan_names)}
    for contender in contenders_of(table):
        if contender.name in (UTILITY, CASCADE):
            told(f"replaying {contender.name}")
            points = joined(
                [contender.replay(fold) for fold in folds], [fold.split.test for fold in folds]
            )
            quality[contender.name] = points.quality.astype(np.float64)
            cost[contender.name] = points.cost.astype(np.float64)
    return Measured(table.examples.kinds, quality, cost)
