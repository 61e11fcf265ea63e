"""Answers that were predicted and rated, and what a replay makes of the ratings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tests.feedback.outcomes import outcome
from tiercel.evaluation.learning.cells import Cells
from tiercel.evaluation.learning.learner import FOREVER, Answer, Prior, Problem
from tiercel.learning import Outcome, Rating
from tiercel.routing.policy import Forecast, Situation
from tiercel.types import Plan

RUN_LENGTH = 300.0
KINDS = ("maths", "code")


@dataclass(frozen=True)
class Rated:
    """An answer of one root, what was predicted of it, and what somebody made of it."""

    name: str
    kind: str
    predicted: float | None
    score: float

    @property
    def outcome(self) -> Outcome:
        one = replace(outcome(event_id=self.name, kind=self.kind), decision_id=self.name)
        return replace(one, plan=Plan("target"), predicted_quality=self.predicted)

    @property
    def rating(self) -> Rating:
        return Rating(f"rating {self.name}", self.name, self.score, f"rater {self.name}")

    def answer(self, at: int) -> Answer:
        """Return the same as a replay has it."""
        forecasts = (Forecast("target", 1.0, self.predicted),)
        return Answer(at, Situation(forecasts, "target", kind=self.kind), "target", cost=1.0)


def rated(
    number: int, good: dict[str, float], name: str = "a", *, predicts: bool = True, seed: int = 0
) -> list[Rated]:
    """Answers of kinds that are good with these chances; predictions are of before any change."""
    random, kinds = np.random.default_rng(seed), list(good)
    found = []
    for at in range(number):
        kind, noise = kinds[at % len(kinds)], float(random.uniform(-0.1, 0.1))
        score = float(random.random() < good[kind])
        predicted = 0.8 + noise if predicts else None
        found.append(Rated(f"{name}{at}", kind, predicted, score))
    return found


def replay(answers: Sequence[Rated], run_length: float = RUN_LENGTH) -> Cells:
    """The same ratings through what replays have in place of a store."""
    priors = {kind: {"target": Prior(0.8, 1.0)} for kind in KINDS}
    cells = Cells(Problem(("target",), 0.0, 0, priors, FOREVER, 1, run_length))
    for at, one in enumerate(answers):
        cells.rated(one.answer(at), one.score, at)
    return cells
