"""Calculation steps come out of worked answers whole, right and once."""

import pytest

from tiercel.evaluation.items import Item
from tiercel.specialisation.calculations import calculations_of, without


def steps(*solutions: str) -> list[tuple[str, str]]:
    items = [
        Item("gsm8k_test", f"item {at}", "?", "", {"solution": text})
        for at, text in enumerate(solutions)
    ]
    return [(one.prompt, one.reference) for one in calculations_of(items)]


@pytest.mark.parametrize(
    ("solution", "found"),
    [
        ("Natalia sold 48/2 = 24 clips in May.", [("48 / 2", "24")]),
        ("She earned $0.2 x 50, or 2+3*4=14.", [("2 + 3 * 4", "14")]),
        ("It costs $1,200 * 2 = $2,400.", [("1200 * 2", "2400")]),
        ("A third: 10 / 3 = 3.33 each.", [("10 / 3", "3.33")]),
        ("First 2 + 2 = 4, then 4 - 1 = 3.", [("2 + 2", "4"), ("4 - 1", "3")]),
        ("(3 + 4) * 2 = 14", []),  # its end alone would be wrong
        ("3 + 4 = 8", []),
        ("5 / 0 = 0", []),
        ("100 * 20% = 20", []),
        ("3 * 4 = 12 + 1 = 13", [("3 * 4", "12")]),
        ("10 * .5 = 5", []),
        ("4 - 7 = -3", []),
    ],
)
def test_steps_are_found(solution: str, found: list[tuple[str, str]]):
    assert steps(solution) == found


def test_a_step_that_comes_again_counts_once():
    assert steps("2 + 3 = 5", "3 + 2 = 5 and 2 + 3 = 5") == [("2 + 3", "5")]
    assert len(steps("6 / 3 = 2", "6 - 3 = 3")) == 2


def test_evaluated_calculations_are_left_out_in_any_order_of_their_operands():
    ours = [Item("", str(at), text, "") for at, text in enumerate(["2 + 3", "3 - 2", "2 * 9"])]
    theirs = [Item("", "", text, "") for text in ["3 + 2", "2 - 3"]]
    assert [one.prompt for one in without(ours, theirs)] == ["3 - 2", "2 * 9"]
