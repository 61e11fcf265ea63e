"""The baseline of ridge regression on hashed words: what a page of code predicts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tiercel.evaluation.frontier.beliefs import Beliefs, CostModel
from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.table import Doubles, Table

_BUCKETS = 1 << 16
_PENALTIES = (1.0, 3.0, 10.0, 30.0)


def hashed_ridge(fold: Fold) -> tuple[Beliefs, Beliefs]:
    """Return predictions of ridge regression on hashed words and pairs of words.

    The penalty is the best of a few on the calibration prompts, where nothing else is fitted.
    """
    # Not at the top: it needs the extra `train`.
    from sklearn.linear_model import Ridge

    train, wanted = hashed(fold.train.texts), fold.train.scores
    held, truth = hashed(fold.calibration.texts), fold.calibration.scores
    models = [
        Ridge(alpha=penalty, solver="sparse_cg", tol=1e-3).fit(train, wanted)
        for penalty in _PENALTIES
    ]
    errors = [float(((model.predict(held) - truth) ** 2).mean()) for model in models]
    best = models[int(np.argmin(errors))]
    unread = np.zeros(fold.calibration.costs.shape)
    costs = CostModel.fit(fold.calibration.texts, unread, fold.calibration.costs)
    return _of(best, costs, fold.validation), _of(best, costs, fold.test)


def hashed(texts: Sequence[str]) -> Any:
    """Return the sparse rows of texts: hashed words and pairs of words, each row of length 1."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=_BUCKETS, ngram_range=(1, 2)).transform(texts)


def _of(model: Any, costs: CostModel, table: Table) -> Beliefs:
    quality: Doubles = model.predict(hashed(table.texts)).reshape(table.costs.shape)
    unread = np.zeros(table.costs.shape)
    return Beliefs(quality, np.full_like(unread, np.nan), costs.costs(table.texts, unread), unread)
