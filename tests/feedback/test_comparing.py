"""Sequential comparisons of two arms: how often they err, how soon they see, against a t-test."""

import math
from collections import Counter

import numpy as np
import pytest

from services.feedback.comparing import Arms, Stratum
from services.feedback.measures import MEASURES

DELTA = 0.05


def arms(share: float, tried, others, low: float = 0.0, high: float = 1.0) -> Arms:
    return Arms([Stratum(share, Counter(tried), Counter(others))], low, high)


def looks(rng, share: float, tried_rate, rate, number: int, every: int):
    """Yield the bad requests of each arm, and all, at each look of a trial."""
    tried = rng.random(number) < share
    bad = rng.random(number) < np.where(tried, tried_rate, rate)
    for end in range(every, number + 1, every):
        yield tried[:end], bad[:end]


def is_worse(share: float, tried, bad, allowed: float = 0.0) -> bool:
    found = arms(share, bad[tried].astype(float), bad[~tried].astype(float))
    return found.log_evidence(allowed) >= math.log(1 / DELTA)


def t_test_says_worse(tried, bad) -> bool:
    """The naive way: a one-sided test of 5 % at each look."""
    on, off = bad[tried], bad[~tried]
    if min(len(on), len(off)) < 20:
        return False
    spread = math.sqrt(on.var() / len(on) + off.var() / len(off))
    return bool(spread > 0 and (on.mean() - off.mean()) / spread > 1.645)


def test_two_equal_arms_are_told_apart_in_at_most_delta_of_all_trials():
    """At every look, while the rate of both swings as traffic does; repeated t-tests fail that."""
    rng, runs, number = np.random.default_rng(7), 200, 2000
    rate = 0.2 + 0.15 * np.sin(np.arange(number) / 150)
    errors = naive = 0
    for _ in range(runs):
        seen = list(looks(rng, 0.3, rate, rate, number, every=50))
        errors += any(is_worse(0.3, *one) for one in seen)
        naive += any(t_test_says_worse(*one) for one in seen)
    assert errors <= DELTA * runs
    assert naive > 3 * DELTA * runs


@pytest.mark.parametrize(
    ("share", "tried_rate", "rate", "within"),
    [(0.05, 1.0, 0.01, 400), (0.05, 0.3, 0.02, 4000), (0.5, 0.15, 0.05, 1500)],
)
def test_a_worse_arm_is_seen(share: float, tried_rate: float, rate: float, within: int):
    rng = np.random.default_rng(1)
    for _ in range(10):
        seen = looks(rng, share, tried_rate, rate, within, every=50)
        assert any(is_worse(share, *one, allowed=0.02) for one in seen)


def test_the_least_excess_is_below_the_true_one_and_grows_towards_it():
    rng, bounds = np.random.default_rng(3), []
    for number in (200, 2000, 20_000):
        tried = rng.random(number) < 0.5
        bad = rng.random(number) < np.where(tried, 0.4, 0.1)
        counts = (bad[tried].astype(float), bad[~tried].astype(float))
        bounds.append(arms(0.5, *counts).excess(DELTA))
    assert bounds == sorted(bounds)
    assert 0.25 < bounds[-1] <= 0.3


def test_nothing_known_is_nothing_shown():
    assert arms(0.5, [], []).excess(DELTA) == -1.0
    assert Arms([], -1.0, 1.0).excess(DELTA) == -2.0


def test_evidence_of_two_shares_adds_up_for_one_verdict():
    """A trial that goes on with a larger share forgets nothing; pooled, it would be confounded."""
    # At the second share all requests fail more often, those on trial no more than others.
    early = Stratum(0.1, {0.0: 180, 1.0: 20}, {0.0: 1620, 1.0: 180})
    late = Stratum(0.5, {0.0: 500, 1.0: 500}, {0.0: 500, 1.0: 500})
    assert Arms([early, late], 0.0, 1.0).excess(DELTA) < 0.0
    pooled = Stratum(0.3, {0.0: 680, 1.0: 520}, {0.0: 2120, 1.0: 680})
    assert Arms([pooled], 0.0, 1.0).excess(DELTA) > 0.1
    bad = Stratum(0.1, {0.0: 60, 1.0: 40}, {0.0: 810, 1.0: 90})
    alone = Arms([bad], 0.0, 1.0).excess(DELTA)
    assert Arms([bad, bad], 0.0, 1.0).excess(DELTA) > alone


def test_measures_take_sums_as_the_store_counts_them():
    failure, latency, cost, quality = MEASURES
    sums = {"units": 10.0, "failed": 2.0, "compared": 8.0, "late": 4.0, "c20": 5.0, "q-4": 3.0}
    sums |= {"cost": 7.0, "s12": 4.0, "score": 2.0}
    assert failure.counts(sums) == {1.0: 2.0, 0.0: 8.0}
    assert latency.counts(sums) == {1.0: 4.0, 0.0: 4.0}
    assert cost.counts(sums) == {0.25: 5.0}
    assert quality.counts(sums) == {-0.2: 3.0}
    shown = cost.compared([(0.5, sums, {"c10": 5.0})], allowed=0.2, delta=DELTA)
    assert (shown.trial, shown.incumbent) == pytest.approx((2.0, 1.0))
