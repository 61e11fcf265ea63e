import itertools

import numpy as np
import pytest

from tiercel.decoding import (
    Level,
    best_num_speculative_tokens,
    cost_per_token,
    expected_tokens,
)


def constant(seconds: float):
    return lambda num_tokens: seconds


def growing(num_tokens: int) -> float:
    return 0.7 + 0.3 * num_tokens


def enumerated_tokens(acceptance_rate: float, length: int) -> float:
    """The expectation over all 2^n outcomes of judging every draft token."""
    total = 0.0
    for outcome in itertools.product((True, False), repeat=length):
        chance = np.prod([acceptance_rate if ok else 1 - acceptance_rate for ok in outcome])
        accepted = outcome.index(False) if False in outcome else length
        total += float(chance) * (accepted + 1)
    return total


def simulated_cost(level: Level, draft_s: float, length: int, rng: np.random.Generator) -> float:
    """Seconds per token of 100,000 blocks, token by token and step by step."""
    blocks = 100_000
    accepted = np.cumprod(rng.random((blocks, length)) < level.acceptance_rate, axis=1).sum(axis=1)
    block_s = length * draft_s + level.step_s(length + 1) + (level.round_trip_s if length else 0)
    return float(blocks * block_s / (accepted + 1).sum())


@pytest.mark.parametrize("acceptance_rate", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("length", [0, 1, 4, 9])
def test_expected_tokens_are_the_mean_over_all_outcomes(acceptance_rate, length):
    expected = expected_tokens(acceptance_rate, length)
    assert expected == pytest.approx(enumerated_tokens(acceptance_rate, length))


def test_expected_tokens_are_the_closed_form_of_the_paper():
    assert expected_tokens(0.8, 5) == pytest.approx((1 - 0.8**6) / (1 - 0.8))


@pytest.mark.parametrize("length", [0, 1, 3, 8])
def test_the_cost_of_a_token_is_what_a_simulation_spends(length):
    level = Level(growing, acceptance_rate=0.75, round_trip_s=0.4)
    simulated = simulated_cost(level, 0.1, length, np.random.default_rng(1))
    assert cost_per_token(level, 0.1, length) == pytest.approx(simulated, rel=0.01)


def test_no_draft_costs_one_step_and_no_round_trip():
    assert cost_per_token(Level(growing, 0.9, round_trip_s=5.0), 0.1, 0) == growing(1)


@pytest.mark.parametrize(
    ("acceptance_rate", "draft_s", "round_trip_s", "length", "speed_up"),
    [
        (0.6, 0.1, 0.0, 3, 1.67),
        (0.6, 0.1, 0.25, 3, 1.40),
        (0.8, 0.1, 0.0, 6, 2.47),
        (0.8, 0.1, 1.0, 8, 1.55),
        (0.8, 0.02, 0.25, 12, 3.17),
        (0.9, 0.1, 1.0, 13, 2.34),
    ],
)
def test_the_best_block_grows_with_the_round_trip(
    acceptance_rate, draft_s, round_trip_s, length, speed_up
):
    level = Level(constant(1.0), acceptance_rate, round_trip_s)
    assert best_num_speculative_tokens(level, draft_s, limit=32) == length
    assert 1 / cost_per_token(level, draft_s, length) == pytest.approx(speed_up, abs=0.005)


def test_speculation_that_does_not_pay_is_left_alone():
    too_far = Level(constant(1.0), acceptance_rate=0.6, round_trip_s=0.92)
    near_enough = Level(constant(1.0), acceptance_rate=0.6, round_trip_s=0.90)
    assert best_num_speculative_tokens(too_far, 0.1, limit=32) == 0
    assert best_num_speculative_tokens(near_enough, 0.1, limit=32) > 0
    assert best_num_speculative_tokens(Level(constant(1.0), 0.0), 0.001, limit=32) == 0


def test_a_perfect_free_draft_is_taken_to_the_limit():
    assert best_num_speculative_tokens(Level(constant(1.0), 1.0), 0.0, limit=7) == 7


def test_a_wide_pass_that_costs_as_much_as_single_steps_is_not_worth_it():
    proportional = Level(lambda num_tokens: float(num_tokens), acceptance_rate=0.99)
    assert best_num_speculative_tokens(proportional, 0.0, limit=16) == 0
