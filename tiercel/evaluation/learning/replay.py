"""One stream of requests, one learner: who is asked, what it learns, and when."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.learning.learner import Answer, Learner
from tiercel.evaluation.learning.world import Change, Doubles, Ints, World


@dataclass(frozen=True)
class Feedback:
    """What of the scores reaches a learner. Costs are always known, and at once."""

    name: str = "all"
    share: float = 1.0  # of the answers that are rated, drawn beforehand and not by their quality
    delay: int = 0  # requests until a score comes
    flipped: float = 0.0  # share of the scores that come as 1 - score


ALL = Feedback()
CONDITIONS = (
    ALL,
    Feedback("5 % rated", share=0.05),
    Feedback("1,000 late", delay=1000),
    Feedback("20 % flipped", flipped=0.2),
)


@dataclass(frozen=True, eq=False)
class Stream:
    """Requests drawn with replacement, and all further chance: equal for every learner."""

    rows: Ints
    draws: Doubles  # which plan of the odds
    rated: Doubles  # below the share: a score comes
    flipped: Doubles

    @classmethod
    def drawn(cls, num_rows: int, length: int, seed: int) -> "Stream":
        """Return the stream of a seed."""
        random = np.random.default_rng(seed)
        rows = random.integers(0, num_rows, length)
        return cls(rows, *random.random((3, length)))


@dataclass(frozen=True, eq=False)
class Course:
    """What happens: a world, and what becomes of it before the request of number `at`."""

    before: World
    change: Change
    at: int
    after: World

    @classmethod
    def of(cls, world: World, change: Change, at: int) -> "Course":
        """Return the course of a change."""
        return cls(world, change, at, change.make(world))

    def world(self, at: int) -> World:
        """Return the world that request `at` meets."""
        return self.before if at < self.at else self.after


def replayed(course: Course, stream: Stream, learner: Learner, feedback: Feedback) -> Ints:
    """Return the number of the plan that each request was given to, [requests]."""
    plans = course.before.plans
    number = {plan: at for at, plan in enumerate(plans)}
    taken = np.zeros(len(stream.rows), np.intp)
    coming: deque[tuple[int, Answer, float]] = deque()
    for at, row in enumerate(stream.rows.tolist()):
        while coming and coming[0][0] <= at:
            _, answer, score = coming.popleft()
            learner.rated(answer, score, at)
        world = course.world(at)
        situation = world.situations[row]
        plan = learner.weigh(situation, at).drawn(float(stream.draws[at]))
        taken[at] = number[plan]
        answer = Answer(at, situation, plan, float(world.costs[row, taken[at]]))
        learner.finished(answer)
        if stream.rated[at] < feedback.share:
            score = float(world.scores[row, taken[at]])
            told = 1.0 - score if stream.flipped[at] < feedback.flipped else score
            coming.append((at + 1 + feedback.delay, answer, told))
    return taken
