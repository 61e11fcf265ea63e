import itertools

import numpy as np
import pytest

from tiercel.decoding import (
    Level,
    best_num_speculative_tokens,
    best_schedule,
    chain_cost,
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


def test_a_chain_costs_what_simulating_it_level_by_level_costs():
    levels = [Level(growing, 0.7, 0.1), Level(constant(6.0), 0.9, 0.3)]
    rng = np.random.default_rng(2)
    middle = simulated_cost(levels[0], 0.05, 4, rng)
    top = simulated_cost(levels[1], middle, 6, rng)
    assert chain_cost(0.05, levels, [4, 6]) == pytest.approx(top, rel=0.01)
    assert chain_cost(0.05, levels, [4, 6]) != pytest.approx(chain_cost(0.05, levels, [6, 4]), 0.01)


def test_a_chain_without_levels_costs_what_its_drafter_costs():
    assert chain_cost(0.05, [], []) == 0.05


def test_a_length_for_every_level_is_asked_for():
    with pytest.raises(ValueError, match="zip"):
        chain_cost(0.05, [Level(growing, 0.7)], [])


@pytest.mark.parametrize("rates", [(0.7, 0.9), (0.9, 0.4), (0.1, 0.95), (0.0, 0.0)])
def test_the_best_schedule_is_the_best_of_all_schedules(rates):
    levels = [Level(growing, rates[0], 0.05), Level(constant(5.0), rates[1], 0.5)]
    best = min(
        chain_cost(0.1, levels, lengths) for lengths in itertools.product(range(11), repeat=2)
    )
    schedule = best_schedule(0.1, levels, limit=10)
    assert schedule.cost_per_token_s == best
    assert chain_cost(0.1, levels, schedule.num_speculative_tokens) == best


def test_a_middle_tier_pays_only_where_it_lowers_the_cost():
    slow = constant(10.0)
    direct = best_schedule(1.0, [Level(slow, 0.5)], 20).cost_per_token_s
    over_middle = [Level(constant(2.0), 0.8), Level(slow, 0.9)]
    useless_middle = [Level(constant(9.0), 0.5), Level(slow, 0.9)]
    assert best_schedule(1.0, over_middle, 20).cost_per_token_s < direct
    assert best_schedule(1.0, useless_middle, 20).cost_per_token_s > direct
