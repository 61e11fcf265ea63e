"""The line through passes of several widths, and the budget that is reckoned with it."""

import numpy as np
import pytest

from tiercel.speculation.budget import _SHARE, LossBudget
from tiercel.speculation.step_times import StepTimes


def seen(*passes: tuple[int, float]) -> StepTimes:
    steps = StepTimes()
    for num_tokens, seconds in passes:
        steps.note(num_tokens, seconds)
    return steps


def test_nothing_is_known_at_first():
    steps = StepTimes()
    assert not steps.is_known
    assert steps.plain_s == 0.0


def test_a_line_is_found_again_within_its_noise():
    random = np.random.default_rng(3)
    widths = random.integers(1, 10, size=60)
    steps = seen(*((int(w), (3.0 + 0.5 * w) * random.normal(1, 0.02)) for w in widths))
    assert [steps.seconds(w) for w in (1, 5, 17)] == pytest.approx([3.5, 5.5, 11.5], rel=0.05)


def test_of_one_width_alone_another_is_guessed_a_little_dearer():
    steps = seen(*[(1, 2.0)] * 5)
    assert steps.plain_s == pytest.approx(2.0)
    assert 2.0 < steps.seconds(5) < 4.0
    wide = seen(*[(5, 2.0)] * 5)
    assert 1.0 < wide.plain_s < 2.0


def test_a_pass_that_was_held_up_moves_little():
    assert seen(*[(1, 2.0)] * 9, (1, 500.0)).plain_s < 3.0


def test_a_change_is_followed():
    assert seen(*[(1, 2.0)] * 50, *[(1, 4.0)] * 20).plain_s == pytest.approx(4.0, rel=0.15)


def test_more_tokens_never_take_less():
    steps = seen((1, 4.0), (5, 2.0), (1, 4.0), (5, 2.0))
    assert steps.seconds(9) >= steps.seconds(1) > 0


def test_a_budget_is_a_share_of_the_time_and_gains_add_to_it_in_bounds():
    budget = LossBudget()
    start_s = budget.left_s(1.0)
    for _ in range(10):
        budget.spent(1.0, 1, 1.0, drafted=False)
    assert budget.left_s(1.0) == pytest.approx(start_s + 10 * _SHARE)
    budget.spent(3.0, 1, 1.0, drafted=True)
    assert budget.left_s(1.0) == pytest.approx(start_s + 13 * _SHARE - 2.0)
    for _ in range(100):
        budget.spent(1.0, 5, 1.0, drafted=True)
    assert budget.left_s(1.0) < start_s + 113 * _SHARE + 5.0


def test_no_draft_is_affordable_once_the_budget_is_spent():
    steps = seen((1, 1.0), (5, 1.4), (1, 1.0), (5, 1.4))
    budget = LossBudget()
    assert budget.affordable(steps, 8) == 8
    budget.spent(2.2, 1, 1.0, drafted=True)
    assert 0 < budget.affordable(steps, 8, waited_s=0.6) < 8
    assert budget.affordable(steps, 8, waited_s=1.1) == 0
    unlimited = LossBudget(unlimited=True)
    unlimited.spent(1e6, 1, 1.0, drafted=True)
    assert unlimited.affordable(steps, 8) == 8
