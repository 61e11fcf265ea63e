"""What a stopping rule would have done on recorded answers, what it gave and what it took."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.stopping.scores import StageScores
from tiercel.stopping.stages import StageData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Rule(Protocol):
    """Decides, stage by stage, for many items at once."""

    @property
    def scores(self) -> StageScores:
        """What it takes an answer to be worth."""
        ...

    @property
    def recall(self) -> bool:
        """Whether an earlier answer may be the one that is kept."""
        ...

    def next_stages(
        self, stage: int, evidence: Floats, kinds: tuple[str, ...], best: Floats
    ) -> Ints:
        """Return for each item the stage that follows, or the same one where it stops.

        `best` is the score of the answer that would be kept, of shape [num_items].
        """
        ...


@dataclass(frozen=True, eq=False)
class Place:
    """Where items stand: at one stage, with the answer that would be kept if they went no further.

    `kept` -1 stands for no answer yet.
    """

    stage: int
    kept: Ints  # [num_items]
    best: Floats  # its score


@dataclass(frozen=True, eq=False)
class Replay:
    """What came of each item, all of shape [num_items]."""

    kept: Ints  # the stage whose answer was given
    last: Ints  # the last stage that was run
    score: Floats  # what the answer was taken to be worth
    quality: Floats  # what it was worth
    seconds: Floats

    def value(self, cost_weight: float) -> float:
        """Return the mean of quality - cost_weight * seconds."""
        return float(np.mean(self.quality - cost_weight * self.seconds))


def replay(rule: Rule, data: StageData, start: int = 0) -> Replay:
    """Return what the rule does on every item that begins at stage `start`, with its seconds."""
    nothing = Place(start, np.full(len(data), -1, np.int64), np.full(len(data), -np.inf))
    found = onward(rule, data, nothing)
    entry = data.seconds[:, 0, start]
    return Replay(found.kept, found.last, found.score, found.quality, found.seconds + entry)


def onward(rule: Rule, data: StageData, place: Place) -> Replay:
    """Return what the rule does from a stage that was just run; seconds are those after it."""
    at = np.full(len(data), place.stage, np.int64)
    kept, best = place.kept.copy(), place.best.copy()
    seconds = np.zeros(len(data))
    for stage in range(place.stage, len(data.stages)):
        rows = np.flatnonzero(at == stage)
        if not len(rows):
            continue
        evidence, kinds = data.evidence[rows, stage], tuple(data.kinds[row] for row in rows)
        scores = rule.scores.score(stage, evidence, kinds)
        better = scores > best[rows] if rule.recall else np.ones(len(rows), bool)
        kept[rows[better]], best[rows[better]] = stage, scores[better]
        following = rule.next_stages(stage, evidence, kinds, best[rows])
        moves = following != stage
        seconds[rows[moves]] += data.seconds[rows[moves], stage + 1, following[moves]]
        at[rows] = following
    quality = data.quality[np.arange(len(data)), kept]
    return Replay(kept, at, best, quality, seconds)


def static(data: StageData, stage: int) -> Replay:
    """Return what every item gets from one stage alone; its score is the mean quality."""
    quality = data.quality[:, stage]
    same = np.full(len(data), stage, np.int64)
    return Replay(
        same, same, np.full(len(data), quality.mean()), quality, data.seconds[:, 0, stage]
    )


def cross_fitted(
    data: StageData, fit: Callable[[StageData], Rule], *, num_folds: int = 5, start: int = 0
) -> Replay:
    """Return the replay in which each item's rule was fitted to the groups of other folds."""
    folds = data.folds(num_folds)
    parts, order = [], []
    for fold in range(num_folds):
        held = np.flatnonzero(folds == fold)
        rule = fit(data.take(np.flatnonzero(folds != fold)))
        parts.append(replay(rule, data.take(held), start))
        order.append(held)
    return reordered(parts, order)


def reordered(parts: list[Replay], rows: list[Ints]) -> Replay:
    """Return the replays of parts of the items as one, in the order of the items."""
    back = np.argsort(np.concatenate(rows))
    fields = ("kept", "last", "score", "quality", "seconds")
    return Replay(
        *(np.concatenate([getattr(part, name) for part in parts])[back] for name in fields)
    )
