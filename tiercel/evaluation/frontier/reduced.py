"""A fold's features in their widest directions: what small learners take."""

from dataclasses import replace
from functools import cache

import numpy as np

from tiercel.evaluation.frontier.beliefs import Beliefs
from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.policies import situations
from tiercel.evaluation.frontier.table import Floats, Table
from tiercel.routing.policy import Situation
from tiercel.routing.reduction import Reduction

SIZE = 32


@cache
def reduction_of(fold: Fold) -> Reduction:
    """Return the widest directions of the training prompts' features."""
    # Not at the top: it needs the extra `train`.
    from sklearn.utils.extmath import randomized_svd

    features = fold.train.examples.features
    mean = features.mean(axis=0)
    size = min(SIZE, len(features) - 1, features.shape[1])
    _, widths, rows = randomized_svd(features - mean, size, random_state=0)
    scales = np.sqrt(len(features)) / np.maximum(widths, 1e-9 * max(1.0, float(widths[0])))
    return Reduction(mean, np.asarray(rows.T * scales, np.float32))


def rows_of(fold: Fold, table: Table) -> Floats:
    """Return a table's prompts in the fold's directions, with a last number that is always 1."""
    return reduction_of(fold).apply(table.examples.features)


def as_given(rows: Floats) -> Reduction:
    """Return the reduction that leaves rows, less their constant, as they are."""
    size = rows.shape[1] - 1
    return Reduction(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))


def reduced_situations(fold: Fold, table: Table, beliefs: Beliefs) -> list[Situation]:
    """Return situations whose features are reduced once, not at every decision."""
    rows = rows_of(fold, table)[:, :-1]
    asked = situations(table, beliefs)
    return [replace(one, features=row) for one, row in zip(asked, rows, strict=True)]
