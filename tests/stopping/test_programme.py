"""Backward induction finds what trying every policy finds, and the blind case by hand."""

from itertools import pairwise, product

import numpy as np
import pytest

from tiercel.errors import InvalidRequest
from tiercel.stopping.pandora import reservation_value
from tiercel.stopping.programme import Programme, blind, blind_stage, in_order, solve

QUALITIES, SECONDS = (0.3, 0.6, 0.8, 0.95), (1.0, 1.6, 4.2, 8.8)
# A weight on each side of every threshold, which are gains over costs: 0.3/1.6, 0.2/4.2, 0.15/8.8.
CHOSEN = {
    1.0: 0, 0.1876: 0, 0.1875: 0, 0.1874: 1, 0.1: 1, 0.0477: 1, 0.0476: 2, 0.03: 2, 0.0171: 2,
    0.0170: 3, 0.001: 3, 0.0: 3,
}  # fmt: skip


@pytest.mark.parametrize("recall", [True, False])
@pytest.mark.parametrize(("cost_weight", "stage"), CHOSEN.items())
def test_the_blind_case_chooses_every_stage_in_its_turn(
    cost_weight: float, stage: int, recall: bool
):
    assert blind_stage(QUALITIES, in_order(SECONDS), cost_weight, recall=recall) == stage


def wrong_stage(cost_weight: float) -> int:
    """The programme as it is sometimes written: no loss at the last stage, products of chances."""
    values = [0.0] * len(QUALITIES)
    goes_on = [False] * len(QUALITIES)
    for stage in reversed(range(len(QUALITIES) - 1)):
        loss = (1.0 - float(np.prod(QUALITIES[: stage + 1]))) / cost_weight
        onward = SECONDS[stage + 1] + values[stage + 1]
        values[stage], goes_on[stage] = min(loss, onward), onward < loss
    return goes_on.index(False)


def test_the_wrong_programme_never_chooses_a_middle_stage():
    """The control of the test above, which it would fail."""
    weights = np.logspace(-4, 1, 200)
    assert {wrong_stage(weight) for weight in weights} == {0, 3}
    assert [wrong_stage(1 / each) for each in (1, 5, 10, 30, 100)] == [0, 0, 0, 3, 3]
    right = [blind_stage(QUALITIES, in_order(SECONDS), 1 / each) for each in (1, 5, 10, 30, 100)]
    assert right == [0, 0, 1, 2, 3]


def test_one_stage_stops():
    assert blind_stage([0.2], in_order([5.0]), 0.0) == 0


def test_stages_for_nothing_are_all_run():
    assert blind_stage(QUALITIES, in_order([0.0] * 4), 7.0) == 3


def test_a_stage_of_infinite_cost_is_never_run():
    assert blind_stage(QUALITIES, in_order([1.0, np.inf, 0.0, 0.0]), 1e-9) == 0
    assert blind_stage(QUALITIES, in_order([1.0, np.inf, 0.0, 0.0]), 0.0) == 0


@pytest.mark.parametrize("cost_weight", [0.0, 0.5])
def test_of_identical_models_the_first_answers(cost_weight: float):
    assert blind_stage([0.5] * 3, in_order([1.0] * 3), cost_weight) == 0


def test_a_bad_stage_on_the_way_is_passed_through_or_over():
    qualities = (0.3, 0.1, 0.9)
    assert blind_stage(qualities, in_order((1, 1, 1)), 0.2) == 2
    assert blind_stage(qualities, in_order((1, 1, 1)), 0.4) == 0  # 0.6 gained for 0.8
    over = in_order((1, 1, 1))
    over[1, 2] = 1.0  # the draft of the first is reused by the last
    assert blind_stage(qualities, over, 0.4) == 2


def test_with_recall_a_worse_answer_does_no_harm():
    seconds = in_order((0.0, 0.0))
    assert solve(blind((0.9, 0.1), seconds, recall=True), 1.0).values[1].tolist() == [0.9, 0.1]
    assert solve(blind((0.9, 0.1), seconds, recall=False), 1.0).values[0].tolist() == [0.9]


def some_programme(draw: np.random.Generator) -> Programme:
    """Return three stages of 2, 3 and 2 states, with a way over the middle one."""
    sizes, moves = (2, 3, 2), [(0, 1), (0, 2), (1, 2)]
    return Programme(
        rewards=tuple(draw.random(size) for size in sizes),
        transitions={(at, to): draw.dirichlet(np.ones(sizes[to]), sizes[at]) for at, to in moves},
        seconds={move: float(draw.random()) for move in moves},
    )


def best_by_trying(programme: Programme, cost_weight: float) -> np.ndarray:
    """Return the value of each first state under the best of all policies, rolled out forwards."""
    states = [(k, s) for k, reward in enumerate(programme.rewards) for s in range(len(reward))]
    choices = [[k, *programme.moves_from(k)] for k, _ in states]
    return np.max(
        [
            rolled_out(programme, cost_weight, dict(zip(states, policy, strict=True)))
            for policy in product(*choices)
        ],
        axis=0,
    )


def rolled_out(
    programme: Programme, cost_weight: float, policy: dict[tuple[int, int], int]
) -> np.ndarray:
    num_first = len(programme.rewards[0])
    weight = {(0, s): np.eye(num_first)[s] for s in range(num_first)}  # of each first state
    value = np.zeros(num_first)
    for k, reward in enumerate(programme.rewards):
        for s in range(len(reward)):
            here = weight.get((k, s), np.zeros(num_first))
            to = policy[k, s]
            if to == k:
                value += here * reward[s]
                continue
            value -= here * cost_weight * programme.seconds[k, to]
            for following, chance in enumerate(programme.transitions[k, to][s]):
                before = weight.get((to, following), np.zeros(num_first))
                weight[to, following] = before + here * chance
    return value


@pytest.mark.parametrize("seed", range(12))
def test_backward_induction_equals_trying_every_policy(seed: int):
    programme = some_programme(np.random.default_rng(seed))
    for cost_weight in (0.0, 0.2, 1.0):
        found = solve(programme, cost_weight).values[0]
        assert found == pytest.approx(best_by_trying(programme, cost_weight), abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_a_higher_price_is_never_worth_more(seed: int):
    programme = some_programme(np.random.default_rng(seed))
    values = [solve(programme, weight).values for weight in (0.0, 0.1, 0.5, 2.0)]
    for cheaper, dearer in pairwise(values):
        assert all((a >= b).all() for a, b in zip(cheaper, dearer, strict=True))
    for stage, reward in enumerate(programme.rewards):
        assert all((each[stage] >= reward).all() for each in values)


def boxes(levels: np.ndarray, chances: np.ndarray, seconds: np.ndarray) -> Programme:
    """Return independent stages with recall; a state is the best level so far."""
    size = len(levels)
    best = np.maximum.outer(np.arange(size), np.arange(size))
    moves = [(at, at + 1) for at in range(len(chances) - 1)]
    transitions = {}
    for at, to in moves:
        rows = np.zeros((size, size))
        for state in range(size):
            np.add.at(rows[state], best[state], chances[to])
        transitions[at, to] = rows
    return Programme(
        (levels,) * len(chances), transitions, {(at, to): float(seconds[to]) for at, to in moves}
    )


@pytest.mark.parametrize("seed", range(12))
def test_with_recall_a_better_answer_in_hand_is_worth_more_and_stops_sooner(seed: int):
    draw = np.random.default_rng(seed)
    levels = np.sort(draw.random(6))
    solution = solve(boxes(levels, draw.dirichlet(np.ones(6), 4), draw.random(4)), 0.3)
    for stage, (values, choices) in enumerate(zip(solution.values, solution.choices, strict=True)):
        assert (np.diff(values) >= -1e-12).all()
        stops = choices == stage
        assert (np.diff(stops.astype(int)) >= 0).all()  # one threshold


@pytest.mark.parametrize("seed", range(40))
def test_pandoras_index_is_the_optimum_of_independent_boxes(seed: int):
    """Where reservation values fall from stage to stage, stops are at them."""
    draw = np.random.default_rng(seed)
    levels, chances = np.sort(draw.random(6)), draw.dirichlet(np.ones(6), 4)
    seconds, weight = draw.random(4), 0.2
    # As equally likely prizes, in thousandths.
    counts = np.maximum(1, np.round(chances * 1000).astype(int))
    chances = counts / counts.sum(axis=1, keepdims=True)
    values = [
        reservation_value(np.repeat(levels, count), weight * second)
        for count, second in zip(counts, seconds, strict=True)
    ]
    falling = [0, *sorted(range(1, 4), key=lambda at: -values[at])]
    programme = boxes(levels, chances[falling], seconds[falling])
    choices = solve(programme, weight).choices
    for stage in range(3):
        expected = np.array(values)[falling][stage + 1] > levels
        assert (choices[stage] != stage).tolist() == expected.tolist()


def test_a_reservation_value_by_hand():
    coin = np.array([0.0, 1.0])
    assert reservation_value(coin, 0.1) == pytest.approx(0.8)  # (1 - z) / 2 = 0.1
    assert reservation_value(coin, 0.0) == 1.0
    assert reservation_value(coin, 0.75) == pytest.approx(-0.25)  # both are above: 0.5 - z = 0.75


def test_transitions_that_are_none_are_refused():
    reward = np.array([0.5, 0.5])
    with pytest.raises(InvalidRequest, match="distributions"):
        Programme((reward, reward), {(0, 1): np.full((2, 2), 0.4)}, {(0, 1): 1.0})
    with pytest.raises(InvalidRequest, match="shape"):
        Programme((reward, reward), {(1, 0): np.eye(2)}, {(1, 0): 1.0})


@pytest.mark.parametrize("cost_weight", [-0.1, np.nan, np.inf])
def test_a_weight_that_is_no_price_is_refused(cost_weight: float):
    with pytest.raises(InvalidRequest, match="cost_weight"):
        blind_stage([0.5], in_order([1.0]), cost_weight)


def test_the_blind_case_keeps_the_better_answer_with_recall_and_the_last_without():
    seconds = in_order((0.0, 0.0))
    for recall, kept in ((True, [1.0, 0.0]), (False, [0.0, 1.0])):
        assert blind((0.9, 0.1), seconds, recall=recall).transitions[0, 1].tolist() == [kept]
