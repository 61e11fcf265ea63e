"""How many sessions a tier has, now and of late."""

from math import exp

import pytest

from tiercel.speculation.slots import Slots


class Clock:
    """Time that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_mean_follows_what_is_taken_and_forgets():
    clock = Clock()
    slots = Slots("target", 4, clock=clock)
    assert slots.mean_taken == 0
    with slots.taken(), slots.taken():
        assert slots.mean_taken == 0, "no time went by"
        clock.now += 5.0
        assert slots.mean_taken == pytest.approx(2 * (1 - exp(-1)))
        clock.now += 100.0
        assert slots.mean_taken == pytest.approx(2)
    clock.now += 5.0
    assert (slots.num_taken, slots.mean_taken) == (0, pytest.approx(2 * exp(-1)))
    clock.now += 100.0
    assert slots.mean_taken == pytest.approx(0, abs=1e-6)


def test_the_mean_does_not_depend_on_how_often_it_is_asked():
    clocks = Clock(), Clock()
    seldom, often = (Slots("target", 4, clock=clock) for clock in clocks)
    with seldom.taken(), often.taken():
        clocks[0].now += 3.0
        for _ in range(30):
            clocks[1].now += 0.1
            assert often.mean_taken > 0
        assert often.mean_taken == pytest.approx(seldom.mean_taken)
