"""Bounds of a share from counts, against scipy and by exact sums over all that may happen."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tiercel.strictness.bounds import (
    anytime_lower,
    anytime_upper,
    binomial_cdf,
    clopper_pearson_upper,
    least_audits,
)

DELTA = 0.05
COUNTS = [(0, 1), (0, 59), (1, 93), (3, 50), (49, 50), (40, 1000), (900, 1000), (5000, 9999)]


@pytest.mark.parametrize(("epsilon", "audits"), [(0.05, 59), (0.01, 299)])
def test_so_many_clean_audits_show_it_and_one_fewer_does_not(epsilon: float, audits: int):
    assert least_audits(epsilon, DELTA) == audits
    assert clopper_pearson_upper(0, audits, DELTA) <= epsilon
    assert clopper_pearson_upper(0, audits - 1, DELTA) > epsilon
    assert clopper_pearson_upper(1, audits, DELTA) > epsilon


@pytest.mark.parametrize(("harmed", "audits"), COUNTS)
def test_clopper_pearson_is_that_of_scipy(harmed: int, audits: int):
    exact = stats.beta.ppf(1 - DELTA, harmed + 1, audits - harmed)
    assert clopper_pearson_upper(harmed, audits, DELTA) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("number", "trials"), COUNTS)
def test_tails_are_those_of_scipy(number: int, trials: int):
    for share in (1e-3, 0.05, 0.3, number / trials + 1e-9, 0.9, 1 - 1e-3):
        exact = stats.binom.cdf(number, trials, share)
        assert binomial_cdf(number, trials, share) == pytest.approx(exact, rel=1e-8, abs=1e-13)


@pytest.mark.parametrize(("harmed", "audits"), COUNTS)
def test_a_bound_for_all_looks_is_wider_than_one_for_one(harmed: int, audits: int):
    lower, upper = (bound(harmed, audits, DELTA) for bound in (anytime_lower, anytime_upper))
    assert 0 <= lower < harmed / audits < upper or (harmed == 0 and lower == 0)
    assert clopper_pearson_upper(harmed, audits, DELTA) < upper < 1


def test_without_audits_nothing_is_known():
    assert (anytime_lower(0, 0, DELTA), anytime_upper(0, 0, DELTA)) == (0.0, 1.0)
    assert (anytime_upper(3, 3, DELTA), anytime_lower(0, 3, DELTA)) == (1.0, 0.0)


def chance_to_be_wrong(
    is_wrong: Callable[[int, int], bool], shares: list[float], *, low: bool
) -> float:
    """Return the chance that a bound is wrong at any look, one after each audit.

    Exact: counts that are wrong are left out as they are reached. With `low` it is the low counts
    that may be wrong, else the high ones.
    """
    alive, edge = np.array([1.0]), (-1 if low else 0)
    lost = 0.0
    for looks, share in enumerate(shares, 1):
        alive = np.append(alive * (1 - share), 0.0) + np.append(0.0, alive * share)
        if low:
            while is_wrong(edge + 1, looks):
                edge += 1
            wrong = slice(0, edge + 1)
        else:
            while edge <= looks and not is_wrong(edge, looks):
                edge += 1
            wrong = slice(edge, None)
        lost += alive[wrong].sum()
        alive[wrong] = 0.0
    return lost


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_who_stops_when_it_suits_does_not_get_under_the_upper_bound(share: float):
    shares = [share] * 400
    chance = chance_to_be_wrong(
        lambda harmed, looks: anytime_upper(harmed, looks, DELTA) < share, shares, low=True
    )
    assert 0 < chance <= DELTA
    naive = chance_to_be_wrong(
        lambda harmed, looks: clopper_pearson_upper(harmed, looks, DELTA) < share, shares, low=True
    )
    assert naive > 2 * DELTA  # what one look allows is not what many do


@pytest.mark.parametrize("shares", [[0.05] * 400, [0.0, 0.05, 0.02, 0.05] * 100])
def test_harm_that_is_never_above_epsilon_is_hardly_ever_called_so(shares: list[float]):
    chance = chance_to_be_wrong(
        lambda harmed, looks: anytime_lower(harmed, looks, DELTA) > 0.05, shares, low=False
    )
    assert 0 < chance <= DELTA


def test_harm_above_epsilon_is_found():
    chance = chance_to_be_wrong(
        lambda harmed, looks: anytime_lower(harmed, looks, DELTA) > 0.05, [0.2] * 100, low=False
    )
    assert chance > 0.95
