"""Beliefs of qualities and the odds of the best: against closed forms, and against draws."""

from math import comb

import numpy as np
import pytest

from tiercel.routing.beliefs import Belief, odds_of_best

FLAT = Belief(0.5, 2.0)  # Beta(1, 1): any score alike
CASES = {
    "two sure of themselves, one not": ([(0.7, 400), (0.72, 4), (0.5, 30)], [0, 0.05, 0]),
    "next to the ends": ([(0.99, 20), (0.97, 60), (0.02, 3)], [0.02, 0, 0]),
    "one far surer than the others": ([(0.6, 3), (0.6, 1e5), (0.55, 12)], [0, 0, 0]),
    "many": ([(0.3 + 0.05 * place, 5 + place) for place in range(8)], [0.04 * p for p in range(8)]),
}


def beliefs(pairs) -> list[Belief]:
    return [Belief(float(mean), float(weight)) for mean, weight in pairs]


@pytest.mark.parametrize("name", CASES)
def test_odds_are_how_often_each_is_the_best_of_200000_draws(name: str):
    told, prices = CASES[name]
    known = beliefs(told)
    rng = np.random.default_rng(7)
    draws = np.stack([rng.beta(one.alpha, one.beta, 200_000) for one in known])
    best = (draws - np.array(prices)[:, None]).argmax(axis=0)
    seen = np.bincount(best, minlength=len(known)) / 200_000
    odds = odds_of_best(known, prices)
    assert odds.sum() == pytest.approx(1.0, abs=1e-12)
    spread = np.sqrt(np.maximum(odds * (1 - odds), 1e-6) / 200_000)
    assert np.all(np.abs(odds - seen) < 4.5 * spread + 1e-4)
    dearer = [price + 0.03 * (place == 0) for place, price in enumerate(prices)]
    wrong = odds_of_best(known, dearer)
    assert not np.all(np.abs(wrong - seen) < 4.5 * spread + 1e-4), "prices count"


@pytest.mark.parametrize("price", [0.0, 0.25, 0.9, 1.5])
def test_two_flat_beliefs_by_hand(price: float):
    """Uniform draws: the dearer one is better with probability (1 - price)^2 / 2."""
    expected = max(0.0, 1 - price) ** 2 / 2
    odds = odds_of_best([FLAT, FLAT], [0.0, price])
    assert odds.tolist() == pytest.approx([1 - expected, expected], abs=1e-4)


def test_whole_numbers_of_ratings_by_their_sum():
    """P(Beta(a, b) > Beta(c, d)) is a finite sum, with P(Beta(c, d) < x) a binomial tail."""
    a, b, c, d = 5, 3, 4, 6
    # Integral of x^(a+j-1) (1-x)^(b+n-j-1), n = c + d - 1, over j from c to n.
    n = c + d - 1

    def beta(x: int, y: int) -> float:
        return 1.0 / (y * comb(x + y - 1, y))

    expected = sum(comb(n, j) * beta(a + j, b + n - j) for j in range(c, n + 1)) / beta(a, b)
    odds = odds_of_best(beliefs([(a / (a + b), a + b), (c / (c + d), c + d)]), [0.0, 0.0])
    assert odds[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("mean", "weight"), [(0.5, 2), (0.9, 20), (0.001, 4), (0.3, 1e6)])
def test_equals_share_alike(mean: float, weight: float):
    odds = odds_of_best([Belief(mean, weight)] * 3, [0.1] * 3)
    assert odds.tolist() == pytest.approx([1 / 3] * 3, abs=1e-9)


def test_one_is_always_the_best_of_itself():
    assert odds_of_best([Belief(0.0, 5.0)], [3.0]).tolist() == [1.0]
    assert odds_of_best([Belief(0.0, 50.0), Belief(1.0, 50.0)], [0.0, 0.0])[1] > 0.999
    assert odds_of_best([Belief(0.5, 9.0), Belief(0.5, 9.0)], [0.0, 5.0]).tolist() == [1.0, 0.0]


def test_the_distribution_of_a_belief():
    scores = np.linspace(-0.1, 1.1, 25)
    assert FLAT.cdf(scores) == pytest.approx(np.clip(scores, 0, 1), abs=1e-5)
    # Beta(2, 1): x^2; Beta(1, 2): 1 - (1 - x)^2.
    assert Belief(2 / 3, 3.0).cdf(scores) == pytest.approx(np.clip(scores, 0, 1) ** 2, abs=1e-5)
    rising = 1 - (1 - np.clip(scores, 0, 1)) ** 2
    assert Belief(1 / 3, 3.0).cdf(scores) == pytest.approx(rising, abs=1e-5)


def test_ratings_move_a_belief_and_fade_back_to_what_was_believed_before():
    prior = Belief(0.6, 20.0)
    rated = prior.rated(0.0, 20.0)
    assert (rated.mean, rated.weight) == pytest.approx((0.3, 40.0))
    assert prior.rated(1.0, 0.0) == prior
    assert rated.faded(1.0, prior).mean == pytest.approx(0.3)
    half = rated.faded(0.5, prior)
    assert (half.mean, half.weight) == pytest.approx((0.6 * 20 / 30, 30.0))
    assert rated.faded(0.0, prior) == prior
    assert prior.faded(0.5, prior) == prior
