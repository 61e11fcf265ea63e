"""What a further token of a pass costs: learned from passes, held-up ones among them."""

import random

import pytest

from tiercel.speculation.row_cost import RowCost


def after(cost: RowCost, *, row: float, number: int, held_up: float = 0.0) -> float:
    chance = random.Random(3)
    for _ in range(number):
        width = chance.choice([1, 1, 2, 3, 5, 9])
        delay = chance.expovariate(1.0) * 5 if chance.random() < held_up else 0.0
        cost.note(width, 0.004 * (1 + row * (width - 1) + delay))
    return cost.share


@pytest.mark.parametrize("row", [0.03, 0.1, 0.5])
def test_the_share_is_learned_though_some_passes_are_held_up(row: float) -> None:
    assert after(RowCost(), row=row, number=300) == pytest.approx(row, rel=0.1, abs=0.01)
    assert after(RowCost(), row=row, number=1000, held_up=0.3) == pytest.approx(row, abs=0.1)


def test_before_anything_was_seen_it_is_a_guess_and_one_pass_does_not_move_it_far() -> None:
    cost = RowCost()
    guess = cost.share
    assert 0 < guess < 0.5
    cost.note(1, 0.004)
    cost.note(2, 0.4)  # a hundred times as long: it was held up
    assert cost.share <= 1
    for _ in range(500):
        cost.note(1, 0.004)
    assert cost.share == pytest.approx(guess, abs=0.05), "an old mishap counts for ever"


def test_nothing_is_learned_of_prompts_nor_of_a_clock_that_stands_still() -> None:
    cost = RowCost()
    guess = cost.share
    for _ in range(10):
        cost.note(1, 0.004)
        cost.note(64, 9.0)
        cost.note(2, 0.0)
    assert cost.share == pytest.approx(guess, rel=0.05)
