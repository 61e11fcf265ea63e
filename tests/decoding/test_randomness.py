"""Numbers that are uniform, reproducible, and independent between users, runs and of the noise."""

import numpy as np
import pytest

from tests.decoding.goodness_of_fit import fits, independent
from tiercel.decoding import Randomness, TokenDistribution, Vocabulary, gumbel

COUNT = 12_000


def numbers(source: Randomness, count: int = COUNT) -> np.ndarray:
    return np.array([source.uniform(index) for index in range(count)])


def cells(values: np.ndarray, count: int = 20) -> np.ndarray:
    return np.minimum((values * count).astype(int), count - 1)


def test_the_bits_are_pinned():
    source = Randomness.of(7, "small", "draft")
    assert source.key == 0x5D05832D4686F931
    assert [source.uniform(0), source.run(3).uniform(1)] == [
        0.09933341785781236,
        0.16297092758109788,
    ]


def test_numbers_are_uniform_and_never_at_an_edge():
    values = numbers(Randomness.of(1, "a"))
    assert fits(np.bincount(cells(values)), np.full(20, 1 / 20))
    assert (values > 0).all()
    assert (values < 1).all()
    assert independent(cells(values[:-1], 8), cells(values[1:], 8))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Randomness.of(1, "a"), Randomness.of(2, "a")),
        (Randomness.of(1, "a"), Randomness.of(1, "b")),
        (Randomness.of(1, "a", "draft"), Randomness.of(1, "a", "verdict")),
        (Randomness.of(1, "a").run(0), Randomness.of(1, "a").run(1)),
        (Randomness.of(1, "a").run(0), Randomness.of(1, "a")),
        (Randomness(5), Randomness(6)),
    ],
)
def test_users_and_runs_have_numbers_of_their_own(one, other):
    ours, theirs = numbers(one), numbers(other)
    assert independent(cells(ours, 8), cells(theirs, 8))
    assert len(np.intersect1d(ours, theirs)) == 0


def test_runs_are_as_good_as_numbers():
    values = np.array([Randomness.of(1, "a").run(run).uniform(0) for run in range(COUNT)])
    assert fits(np.bincount(cells(values)), np.full(20, 1 / 20))
    assert independent(cells(values[:-1], 8), cells(values[1:], 8))


def test_numbers_know_nothing_of_the_coupled_noise():
    words = Vocabulary.of([b"a"])
    noise = np.array([gumbel(words.hashes, 1, offset)[0] for offset in range(6000)])
    values = np.exp(-np.exp(-noise))  # uniform
    runs = np.array([Randomness.of(1).run(run).uniform(0) for run in range(6000)])
    assert independent(cells(values, 8), cells(numbers(Randomness.of(1), 6000), 8))
    assert independent(cells(values, 8), cells(runs, 8))


def test_names_are_told_apart_whole():
    keys = {
        Randomness.of(1, *names).key
        for names in [(), ("a",), ("a", "b"), ("ab",), ("b", "a"), (1,), ("1",), ("a", ""), ("",)]
    }
    assert len(keys) == 9


def test_a_coin_is_never_thrown_for_nothing_and_always_for_all():
    source = Randomness.of(3)
    assert not any(source.coin(index, 0.0) for index in range(1000))
    assert all(source.coin(index, prob) for index in range(1000) for prob in (1.0, 7.5))
    assert not any(source.coin(index, float("nan")) for index in range(1000))
    share = sum(source.coin(index, 0.3) for index in range(COUNT))
    assert fits(np.array([share, COUNT - share]), np.array([0.3, 0.7]))


def test_draws_follow_the_distribution_and_take_nothing_impossible():
    given = TokenDistribution.of([9, 4, 2, 30], [0.5, 0.0, 0.2, 0.3])
    drawn = np.array([Randomness.of(4).draw(index, given) for index in range(COUNT)])
    counts = np.array([(drawn == token).sum() for token in (2, 9, 30)])
    assert counts.sum() == COUNT
    assert fits(counts, np.array([0.2, 0.5, 0.3]))


def test_the_last_token_is_drawn_at_the_last_number_and_none_without_probability():
    given = TokenDistribution.of([1, 2, 3], [0.9, 0.1, 0.0])
    assert given.at(1 - 2.0**-53) == 2
    assert given.at(2.0**-53) == 1
    assert TokenDistribution.of([1, 2], [0.0, 1.0]).at(2.0**-53) == 2
