"""Blocks as long as pays, on a simulated clock: near the best fixed length, none in vain."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.speculation.simulated_parent import Drafter, Parent
from tiercel.decoding import Level, best_schedule
from tiercel.speculation.length import Costs, Length
from tiercel.speculation.step_times import StepTimes

MOST, TOKENS = 16, 600


def drafter(
    rate: float | Callable[[int], float], token_s: float, round_trip_s: float = 0.0
) -> Drafter:
    """Tokens stand by chance; each takes a time, and each block a round trip."""
    chance = random.Random(1)

    def answer(length: int, number: int) -> tuple[float, float, int]:
        now = rate(length) if callable(rate) else rate
        num_right = 0
        while num_right < number and chance.random() < now:
            num_right += 1
        return round_trip_s + token_s * number, token_s * number, num_right

    return answer


def best(parent: Parent, rate: float, token_s: float, round_trip_s: float) -> float:
    """Return the cost of a token at the best fixed length, in plain steps."""
    level = Level(lambda width: 1 + parent.row_s * (width - 1), rate, round_trip_s)
    return best_schedule(token_s, [level], MOST).cost_per_token_s


@pytest.mark.parametrize("row_s", [0.03, 0.15])
@pytest.mark.parametrize(("token_s", "round_trip_s"), [(0.01, 0.0), (0.1, 0.25), (0.1, 1.0)])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.7, 0.9, 0.97])
def test_the_cost_is_near_that_of_the_best_fixed_length(row_s, token_s, round_trip_s, rate):
    parent = Parent(drafter(rate, token_s, round_trip_s), row_s=row_s, most=MOST)
    cost = parent.decode(TOKENS)
    assert cost <= 1.03
    assert cost <= 1.15 * best(parent, rate, token_s, round_trip_s)


def test_one_length_for_all_is_far_from_the_best():
    """The control: the longest blocks with a poor drafter, the shortest with a good one."""
    poor = Parent(drafter(0.5, 0.1), row_s=0.15, most=MOST, always=True)
    assert poor.decode(TOKENS) > 1.3
    good = Parent(drafter(0.97, 0.01), row_s=0.03, most=1, always=True)
    assert good.decode(TOKENS) > 2 * best(good, 0.97, 0.01, 0.0)


def test_a_change_is_followed_soon():
    parent = Parent(drafter(lambda length: 0.95 if length < 300 else 0.3, 0.05), most=MOST)
    parent.decode(300)
    before = len(parent.widths)
    parent.decode(340)
    parent.decode(600)
    assert max(parent.widths[:before]) > 8
    late = parent.widths[before + 30 :]
    assert sum(late) / len(late) < 3


def test_where_nothing_pays_nothing_is_asked_between_ever_rarer_probes():
    parent = Parent(drafter(0.1, 0.3), row_s=0.15, most=MOST)
    parent.decode(2000)
    gaps = [later - sooner for sooner, later in pairwise(parent.asked_at)]
    assert len(parent.asked_at) < 40
    assert max(gaps) >= 500


def test_a_drafter_at_the_edge_is_not_taken_and_left_all_the_time():
    parent = Parent(drafter(0.62, 0.3), row_s=0.1, most=MOST)
    cost = parent.decode(2000)
    drafted = [width > 1 for width in parent.widths]
    num_switches = sum(sooner != later for sooner, later in pairwise(drafted))
    assert num_switches < 120
    assert cost <= 1.03


def known(rate: float) -> tuple[Length, StepTimes]:
    steps, length = StepTimes(), Length()
    for width in (1, 5) * 5:
        steps.note(width, 1 + 0.05 * (width - 1))
    for _ in range(30):
        length.arrived(0.3, 0.2, 4)
        length.judged(round(10 * rate), round(10 * (1 - rate)))
    return length, steps


def test_the_more_sessions_share_a_pass_the_shorter_the_blocks():
    chosen = []
    for sharing in (1, 4, 16, 64):
        length, steps = known(0.8)
        costs = Costs(steps, left_s=100.0, sharing=sharing)
        chosen.append(length.choose(costs, MOST, on_trial=False))
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[0] > 4
    assert chosen[-1] == 0


def test_no_block_costs_more_than_is_left():
    length, steps = known(0.95)
    long, short, none = (
        length.choose(Costs(steps, left_s), MOST, on_trial=False) for left_s in (100.0, 0.4, 0.05)
    )
    assert long > short > none == 0


def test_acceptance_follows_the_newest_blocks():
    length, _ = known(0.8)
    assert length.acceptance_rate == pytest.approx(0.8, abs=0.02)
    for _ in range(30):
        length.judged(0, 1)
    assert length.acceptance_rate < 0.5
    length.rested()
    length.judged(1, 0)
    assert length.acceptance_rate > 0.5
