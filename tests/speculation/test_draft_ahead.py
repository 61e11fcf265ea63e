"""Drafting ahead is tried, timed and kept where it pays, on made-up times."""

import random
from collections.abc import Callable

import pytest

from tiercel.speculation.draft_ahead import DraftAhead

# Seconds of a round, from the round's number, and whether the drafter was ahead.
Times = Callable[[int, bool], float]


def shares(ahead: DraftAhead, times: Times, number: int = 1000) -> tuple[float, float]:
    """Run so many rounds; return the share of them ahead: of all, and of the last quarter."""
    was_on = []
    for index in range(number):
        is_on = ahead.num_tokens > 0
        was_on.append(is_on)
        ahead.round(times(index, is_on), 4, 0.8)
    return sum(was_on) / number, sum(was_on[-number // 4 :]) / (number // 4)


def noisy(off_s: float, on_s: float) -> Times:
    chance = random.Random(2)
    return lambda index, is_on: (on_s if is_on else off_s) * chance.uniform(0.95, 1.05)


def test_it_is_kept_where_it_hides_the_network():
    share, late = shares(DraftAhead(8), noisy(off_s=1.5, on_s=1.0))
    assert share > 0.85
    assert late > 0.9


@pytest.mark.parametrize("on_s", [1.0, 1.2, 3.0])
def test_it_is_left_where_tiers_share_their_cores(on_s: float):
    share, late = shares(DraftAhead(8), noisy(off_s=1.0, on_s=on_s))
    assert share < 0.15
    assert late < 0.1


def test_a_change_is_found_out():
    times = noisy(off_s=1.5, on_s=1.0), noisy(off_s=1.0, on_s=1.5)
    _, late = shares(DraftAhead(8), lambda index, is_on: times[index > 300](index, is_on), 2000)
    assert late < 0.1
    _, late = shares(DraftAhead(8), lambda index, is_on: times[index <= 300](index, is_on), 2000)
    assert late > 0.9


def test_without_credit_there_is_nothing_to_try():
    assert shares(DraftAhead(0), noisy(1.5, 1.0)) == (0.0, 0.0)


def test_always_is_always():
    assert shares(DraftAhead(8, always=True), noisy(1.0, 9.0)) == (1.0, 1.0)
