"""The stopping policy: after each stage, whether another is worth its seconds, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.errors import InvalidRequest
from tiercel.stopping.ridge import Linear
from tiercel.stopping.scores import StageScores, kind_flags
from tiercel.stopping.starts import Start

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Continuation:
    """Going on from one stage to a later one: what it is expected to add, and what it takes."""

    stage: int
    following: int
    gain: Linear  # of quality, net of the priced seconds of stages beyond `following`
    mean_seconds: float
    kind_seconds: Mapping[str, float]  # the mean by kind


@dataclass(frozen=True)
class Stop:
    """Keep an answer: this stage's, or an earlier one where that is worth more."""

    score: float  # expected quality of the answer that is kept
    keeps_earlier: bool
    gain: float  # of the best way on; 0 after the last stage
    seconds: float
    price: float  # cost_weight * seconds
    explanation: str


@dataclass(frozen=True)
class GoOn:
    """Run another stage: its expected gain exceeds its price."""

    following: int
    stage_name: str
    score: float  # of the answer that would be kept now
    gain: float
    seconds: float
    price: float
    explanation: str


@dataclass(frozen=True)
class _WayOn:
    """A continuation as it looks for one item."""

    following: int
    gain: float
    seconds: float
    price: float


@dataclass(frozen=True, eq=False)
class StoppingPolicy:
    """Decides after each stage; fitted for one `cost_weight`, in quality a second.

    Going on is worth it iff the expected gain exceeds `cost_weight` times the incremental seconds.
    """

    stages: tuple[str, ...]
    evidence_names: tuple[str, ...]
    prefix_tokens: int | None  # after how many tokens a decision is made; None: the whole answer
    cost_weight: float
    recall: bool
    scores: StageScores
    continuations: tuple[Continuation, ...]
    stage_digests: tuple[str, ...] = ()
    starts: tuple[Start, ...] = ()  # by stage; none: what a start is worth was not fitted
    reads_forecasts: bool = False  # whether starts are judged by predicted qualities, too
    trained_on: str = ""

    def decide(
        self,
        stage: int,
        evidence: ArrayLike,
        kind: str,
        best_so_far: float | None = None,
        seconds: Mapping[int, float] | None = None,
    ) -> Stop | GoOn:
        """Return whether the answer of `stage` (or an earlier one) is kept, or a stage follows.

        `evidence` is that stage's vector, in the order of `evidence_names`; `best_so_far`, with
        recall only, the score of the best earlier answer, from its decision. `seconds` says what
        each later stage would take now; one that it leaves out is taken at its mean for the kind,
        infinite means never. Raises InvalidRequest for a stage that there is not, evidence that is
        not finite or of another length, best_so_far without recall, seconds that are NaN.
        """
        rows = self._checked(stage, evidence, best_so_far, seconds or {})
        score = float(self.scores.score(stage, rows, (kind,))[0])
        keeps_earlier = best_so_far is not None and best_so_far >= score
        best = float(best_so_far) if best_so_far is not None and keeps_earlier else score
        features = self._gain_rows(stage, rows, (kind,), np.array([best]))
        way = self._best_way(stage, features, kind, seconds or {})
        if way is None:
            return Stop(best, keeps_earlier, 0.0, 0.0, 0.0, "stop: no stage follows")
        compared = self._words(way)
        if way.gain > way.price:
            name = self.stages[way.following]
            words = f"go on to {name}: {compared}"
            return GoOn(way.following, name, best, way.gain, way.seconds, way.price, words)
        words = f"stop: {compared}"
        return Stop(best, keeps_earlier, way.gain, way.seconds, way.price, words)

    def next_stages(self, stage: int, evidence: Floats, kinds: Sequence[str], best: Floats) -> Ints:
        """Return for each item the stage that follows at its kind's mean cost, or the same: stop.

        `evidence` has the shape [num_items, num_features]; `best` is the score of the answer that
        would be kept.
        """
        choice = np.full(len(evidence), stage, np.int64)
        surplus = np.zeros(len(evidence))
        rows = self._gain_rows(stage, evidence, kinds, best)
        for each in self._from(stage):
            seconds = [each.kind_seconds.get(kind, each.mean_seconds) for kind in kinds]
            net = each.gain(rows) - self.cost_weight * np.array(seconds)
            choice = np.where(net > surplus, each.following, choice)
            surplus = np.maximum(surplus, net)
        return choice

    def _from(self, stage: int) -> Iterator[Continuation]:
        return (each for each in self.continuations if each.stage == stage)

    def _gain_rows(
        self, stage: int, evidence: Floats, kinds: Sequence[str], best: Floats
    ) -> Floats:
        score = self.scores.score(stage, evidence, kinds)
        return gain_rows(evidence, kinds, self.scores.kinds, score, best if self.recall else None)

    def _best_way(
        self, stage: int, features: Floats, kind: str, seconds: Mapping[int, float]
    ) -> _WayOn | None:
        """Return the way on that leaves most after its price."""
        ways = []
        for each in self._from(stage):
            usual = each.kind_seconds.get(kind, each.mean_seconds)
            takes = seconds.get(each.following, usual)
            if np.isfinite(takes):
                gain = float(each.gain(features)[0])
                ways.append(_WayOn(each.following, gain, takes, self.cost_weight * takes))
        return max(ways, key=lambda way: way.gain - way.price, default=None)

    def _words(self, way: _WayOn) -> str:
        verb = "exceeds" if way.gain > way.price else "does not exceed"
        return (
            f"an expected gain of {way.gain:.3f} {verb} the price of {way.price:.3f} "
            f"({way.seconds:.2f} s to {self.stages[way.following]}, {self.cost_weight:g} a second)"
        )

    def _checked(
        self,
        stage: int,
        evidence: ArrayLike,
        best_so_far: float | None,
        seconds: Mapping[int, float],
    ) -> Floats:
        """Return the evidence as one row."""
        if not 0 <= stage < len(self.stages):
            raise InvalidRequest("stage", stage, f"there are {len(self.stages)}")
        rows = np.asarray(evidence, np.float64).reshape(1, -1)
        if rows.shape[1] != len(self.evidence_names) or not np.isfinite(rows).all():
            why = f"not {len(self.evidence_names)} finite numbers"
            raise InvalidRequest("evidence", rows.tolist(), why)
        if best_so_far is not None and not self.recall:
            raise InvalidRequest("best_so_far", best_so_far, "the policy is one without recall")
        if best_so_far is not None and not 0 <= best_so_far <= 1:
            raise InvalidRequest("best_so_far", best_so_far, "no score from 0 to 1")
        if any(np.isnan(each) or each == -np.inf for each in seconds.values()):
            raise InvalidRequest("seconds", dict(seconds), "no number")
        return rows


def gain_rows(
    evidence: Floats,
    kinds: Sequence[str],
    known: Sequence[str],
    score: Floats,
    best: Floats | None,
) -> Floats:
    """Return the columns that a gain is regressed on, [num_items, num_columns].

    They are the evidence, the stage's score and its square, with recall also the best score and its
    square, then the flags of kinds. The squares are there because most is gained in the middle:
    least where an answer is right anyway, little where every stage fails.
    """
    powers = [score, score**2] if best is None else [score, score**2, best, best**2]
    return np.hstack((evidence, np.stack(powers, axis=1), kind_flags(kinds, known)))
