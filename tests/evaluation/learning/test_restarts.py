"""How soon a change of ratings is seen, and how seldom one is that is none."""

import numpy as np
import pytest

from tests.feedback.rated import rated, replay
from tiercel.evaluation.learning.learner import FOREVER, Clock
from tiercel.evaluation.learning.restarts import Watch, tolerance_of


def seen_after(before: float, then: float, seed: int, number: int = 300) -> int | None:
    """The number of ratings after a change until old ones are dropped, as in a replay."""
    cells = replay(rated(400, {"maths": before}, "a", seed=seed))
    [known, _] = cells.ratings("target", "maths", 400)
    for at, one in enumerate(rated(number, {"maths": then}, "b", seed=seed + 1000)):
        cells.rated(one.answer(400 + at), one.score, 400 + at)
        if cells.ratings("target", "maths", 400)[0].num_ratings <= known.num_ratings + at:
            return at + 1
    return None


@pytest.mark.parametrize(("before", "then"), [(0.85, 0.5), (0.5, 0.85)])
def test_a_change_is_seen_within_a_few_ratings(before: float, then: float):
    waits = [seen_after(before, then, seed) for seed in range(21)]
    assert None not in waits
    assert np.median(waits) <= 45 and max(waits) < 150


def mean_run_length(good: float, expected: float, tolerance: float, most: int = 4000) -> float:
    """Ratings until a restart, on average over runs; those without one are cut off."""
    random, found = np.random.default_rng(4), []
    for _ in range(30):
        watch = Watch(100.0)
        for number in range(1, most + 1):
            residual = float(random.random() < good) - expected
            clock = Clock(number, FOREVER)
            if watch.see(residual, tolerance, (1.0, residual), clock) is not None:
                break
        found.append(number)
    return float(np.mean(found))


def test_restarts_for_nothing_come_no_sooner_than_promised():
    """Also at the very edge of what is no change; beyond it they come soon."""
    assert mean_run_length(0.5, 0.5, 0.05) >= 1000
    assert mean_run_length(0.5, 0.55, 0.05) >= 100
    assert mean_run_length(0.5, 0.8, 0.05) < 40


def test_the_fewer_ratings_the_farther_their_mean_may_lie():
    assert [tolerance_of(one) for one in (1, 100, 1e6)] == [0.5, 0.05, 0.02]
