"""A made-up table for tests: what is right is a matter of chance that the features know."""

from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.beliefs import Fitter
from tiercel.evaluation.frontier.fold import Fold
from tiercel.evaluation.frontier.folds import splits
from tiercel.evaluation.frontier.points import Points, joined
from tiercel.evaluation.frontier.table import Prefix, Table
from tiercel.prediction.examples import Examples, QualityForecast
from tiercel.stopping.evidence import EVIDENCE_NAMES

PLANS = ("small", "middle", "large")
COSTS = np.array([1.0, 3.0, 9.0])


def table_of(count: int = 400, *, num_plans: int = 3, num_samples: int = 0, seed: int = 0) -> Table:
    """Prompts of two kinds, one hard; the first features are each plan's chance, then an id."""
    random = np.random.default_rng(seed)
    hard = np.arange(count) % 2 == 0
    ease = random.uniform(0, 0.3, count) + np.where(hard, 0.0, 0.1)
    helped = random.random(count) < 0.5  # by a larger plan; the others are not
    gains = np.where(helped[:, None], [0.0, 0.3, 0.6], 0.0)
    chances = (ease[:, None] + gains)[:, -num_plans:]
    drawn = random.random((count, num_plans, 1 + num_samples)) < chances[:, :, None]
    costs = COSTS[-num_plans:] * random.uniform(0.8, 1.2, (count, 1))
    evidence = random.normal(size=(count, num_plans, len(EVIDENCE_NAMES)))
    # The first number says whether the answer is right, nine times in ten.
    told = np.where(random.random((count, num_plans)) < 0.9, drawn[:, :, 0], ~drawn[:, :, 0])
    evidence[:, :, 0] = told
    ids = tuple(f"p{at}" for at in range(count))
    examples = Examples(
        features=np.column_stack((chances, np.arange(count))).astype(np.float32),
        evidence=evidence.astype(np.float32),
        scores=drawn[:, :, 0].astype(np.float32),
        num_tokens=np.full((count, num_plans), 10, np.float32),
        acceptance=np.zeros((count, 0), np.float32),
        kinds=tuple("hard" if one else "easy" for one in hard),
        groups=ids,
        plan_names=PLANS[-num_plans:],
        pair_names=(),
    )
    return Table(
        name="made up",
        examples=examples,
        costs=costs,
        cost_unit="seconds",
        prompt_ids=ids,
        texts=tuple(f"question {at} " + "very " * (at % 7) for at in range(count)),
        strata=examples.kinds,
        sources={},
        samples=drawn[:, :, 1:].astype(float),
        prefixes={32: Prefix(evidence.astype(np.float32), costs / 4)},
        lossy=(False,) * num_plans,
    )


@dataclass(frozen=True)
class Said:
    """A forecaster that says what a function makes of the features."""

    quality: object

    def forecast(self, features: np.ndarray, evidence: np.ndarray | None = None):
        found = self.quality(features).astype(np.float32)
        shape = found.shape
        tokens = np.full(shape, 10, np.float32)
        return QualityForecast(found, found - 0.1, tokens, np.zeros((shape[0], 0), np.float32))


def knowing(train: Examples, calibration: Examples) -> Said:
    """Knows every plan's chance."""
    return Said(lambda features: features[:, :-1])


def guessing(train: Examples, calibration: Examples) -> Said:
    """Knows nothing of a prompt, and says so with much conviction."""
    random = np.random.default_rng(1)
    return Said(lambda features: random.random((len(features), len(train.plan_names))))


def memorising(train: Examples, calibration: Examples) -> Said:
    """Knows the scores of all that it was shown, by id, and the mean of the rest."""
    known = {
        float(row[-1]): score
        for part in (train, calibration)
        for row, score in zip(part.features, part.scores, strict=True)
    }
    mean = train.scores.mean(axis=0)
    return Said(lambda features: np.stack([known.get(float(row[-1]), mean) for row in features]))


def folds_of(table: Table, fitter: Fitter = knowing, overhead: float = 0.0) -> list[Fold]:
    """The five folds of a table."""
    examples = table.examples
    return [Fold(table, one, fitter, overhead) for one in splits(examples.groups, examples.kinds)]


def replayed(contender, folds: list[Fold]) -> Points:
    """A contender's points on all prompts."""
    return joined([contender.replay(fold) for fold in folds], [fold.split.test for fold in folds])
