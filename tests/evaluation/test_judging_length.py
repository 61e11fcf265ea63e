"""What length explains of preferences is taken away, and nothing else."""

import numpy as np
import pytest

from tiercel.evaluation.judging.length_control import length_controlled


def drawn(level: float, slope: float, mean_ratio: float, count: int = 4000):
    """Return win or defeat by level, log length ratio (spread 0.5), and the lengths themselves."""
    chance = np.random.default_rng(7)
    other = chance.integers(50, 400, count)
    own = np.maximum(1, (other * np.exp(chance.normal(mean_ratio, 0.5, count))).astype(int))
    ratios = np.log(own / other)
    odds = level + slope * np.tanh(ratios / np.sqrt(np.mean(ratios**2)))
    wins = chance.random(count) < 1 / (1 + np.exp(-odds))
    return wins.astype(float).tolist(), own.tolist(), other.tolist()


def test_a_judge_that_only_likes_length_prefers_nobody_at_equal_length():
    found = length_controlled(*drawn(level=0.0, slope=3.0, mean_ratio=0.8))
    assert found.win_rate > 0.8
    assert found.controlled == pytest.approx(0.5, abs=0.06)
    assert found.slope == pytest.approx(3.0, abs=0.3)


def test_a_better_answer_stays_better_though_it_is_shorter():
    found = length_controlled(*drawn(level=1.0, slope=3.0, mean_ratio=-0.8))
    assert found.win_rate < 0.5
    assert found.controlled == pytest.approx(1 / (1 + np.exp(-1)), abs=0.06)


def test_a_judge_that_does_not_look_at_length_is_left_as_it_is():
    found = length_controlled(*drawn(level=0.7, slope=0.0, mean_ratio=0.0))
    assert found.controlled == pytest.approx(found.win_rate, abs=0.01)
    assert abs(found.slope) < 0.15


def test_swapping_the_answers_gives_the_complement():
    wins, own, other = drawn(level=0.4, slope=1.0, mean_ratio=0.3, count=60)
    found = length_controlled(wins, own, other)
    swapped = length_controlled([1 - one for one in wins], other, own)
    assert swapped.controlled == pytest.approx(1 - found.controlled, abs=1e-9)
    assert swapped.slope == pytest.approx(found.slope, abs=1e-9)


@pytest.mark.parametrize("lengths", [([9, 9, 9], [9, 9, 9]), ([30, 40, 50], [3, 4, 5])])
def test_winning_always_and_equal_lengths_have_finite_answers(lengths: tuple[list[int], list[int]]):
    found = length_controlled([1.0, 1.0, 1.0], *lengths)
    assert 0.5 <= found.controlled < 1 and np.isfinite(found.slope)


def test_half_preferences_count_half():
    assert length_controlled([0.5] * 4, [5, 6, 7, 8], [8, 7, 6, 5]).controlled == 0.5


@pytest.mark.parametrize(
    ("wins", "own", "other"),
    [([], [], []), ([1.0], [1, 2], [1]), ([1.5], [1], [1]), ([1.0], [0], [1])],
)
def test_what_is_no_comparison_is_refused(wins: list[float], own: list[int], other: list[int]):
    with pytest.raises(ValueError):
        length_controlled(wins, own, other)
