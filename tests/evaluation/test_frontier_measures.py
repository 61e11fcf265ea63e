"""Hulls, areas and published figures, on fronts whose values are worked out by hand."""

import numpy as np
import pytest

from tiercel.evaluation.frontier.hull import References, upper_hulls
from tiercel.evaluation.frontier.measures import (
    Curve,
    area,
    average_improvement,
    average_recovered,
    calls_for,
    equivalent_gap,
    gap_closed,
    references_of,
    strong_share_curve,
)
from tiercel.evaluation.frontier.prediction_quality import (
    auroc,
    auroc_by_kind,
    bins_of,
    calibration_error,
    explainable_share,
    skill,
)


def curve(*points: tuple[float, float]) -> Curve:
    costs, qualities = np.array(points, float).T
    return Curve(costs, qualities)


def vertices(*points: tuple[float, float]) -> list[tuple[float, float]]:
    hulls = curve(*points).hulls
    pairs = zip(hulls.costs[0].tolist(), hulls.qualities[0].tolist(), strict=True)
    return list(dict.fromkeys(pairs))


ENDS = References(cost_low=1.0, cost_high=3.0, quality=0.2)


def test_a_hull_keeps_what_no_mixture_reaches():
    points = [(3, 0.6), (1, 0.2), (2, 0.5), (2, 0.3), (2.5, 0.52), (4, 0.5)]
    assert vertices(*points) == [(1, 0.2), (2, 0.5), (3, 0.6)]


def test_a_hull_leaves_out_points_on_its_lines_and_worse_ones_of_equal_cost():
    assert vertices((1, 0.25), (2, 0.5), (3, 0.75), (1, 0)) == [(1, 0.25), (3, 0.75)]


def test_a_hull_of_one_useful_point_is_that_point():
    assert vertices((1, 0.5), (2, 0.5), (3, 0.1)) == [(1, 0.5)]


def test_the_area_of_two_plans_is_a_triangle():
    assert area(curve((1, 0.2), (3, 0.6)), ENDS) == pytest.approx(0.2)


def test_the_area_of_three_plans():
    # Over [1, 2] the mean height is 0.15, over [2, 3] it is 0.35.
    assert area(curve((1, 0.2), (2, 0.5), (3, 0.6)), ENDS) == pytest.approx(0.25)


def test_an_area_goes_on_flat_to_the_right_and_not_at_all_to_the_left():
    assert area(curve((2, 0.6)), ENDS) == pytest.approx(0.2)  # half of the costs, 0.4 high


def test_an_area_counts_nothing_below_the_reference_or_outside_the_costs():
    # From (0, 0) to (4, 0.4): above 0.2 from cost 2 on, by 0.05 in the mean.
    assert area(curve((0, 0.0), (4, 0.4)), ENDS) == pytest.approx(0.025)
    assert area(curve((5, 0.9)), ENDS) == 0.0


def test_many_hulls_at_once_are_those_of_each():
    random = np.random.default_rng(0)
    costs, qualities = random.uniform(0.5, 3.5, (40, 9)), random.uniform(0, 1, (40, 9))
    areas = upper_hulls(costs, qualities).areas(ENDS)
    grid = np.linspace(1, 3, 20_001)
    for at in range(40):
        heights = best_mixture(costs[at], qualities[at], grid)
        expected = np.trapezoid(np.maximum(0, heights - ENDS.quality), grid) / 2
        assert areas[at] == pytest.approx(expected, abs=1e-4)


def best_mixture(costs, qualities, grid):
    """The best of all pairs, by definition: no chain, no hull."""
    best = np.full(len(grid), -np.inf)
    for x, y in zip(costs, qualities, strict=True):
        best = np.where(grid >= x, np.maximum(best, y), best)
        for u, v in zip(costs, qualities, strict=True):
            if u > x:
                line = y + (grid - x) * (v - y) / (u - x)
                best = np.where((grid >= x) & (grid <= u), np.maximum(best, line), best)
    return best


def test_quality_at_a_cost_and_cost_at_a_quality():
    hulls = curve((1, 0.2), (2, 0.5), (3, 0.6)).hulls
    assert hulls.quality_at(np.array([[0.5, 1.5, 2.5, 9]]))[0] == pytest.approx(
        [-np.inf, 0.35, 0.55, 0.6]
    )
    assert hulls.cost_at(np.array([[0.1, 0.35, 0.6, 0.7]]))[0] == pytest.approx([1, 1.5, 3, np.inf])


def test_references_are_the_cheapest_and_the_best_plan():
    found = references_of(np.array([2.0, 1.0, 3.0, 5.0]), np.array([0.5, 0.2, 0.6, 0.6]))
    assert found == References(1.0, 3.0, 0.2)
    with pytest.raises(ValueError, match="cheapest"):
        references_of(np.array([1.0, 2.0]), np.array([0.5, 0.4]))


def test_the_gap_closed_lies_between_static_and_oracle():
    closed = gap_closed(np.array([0.2, 0.25, 0.4]), np.array(0.2), np.array(0.4))
    assert closed == pytest.approx([0, 0.25, 1])
    assert equivalent_gap(0.25, static=0.2, oracle=0.4) == pytest.approx(0.25)


def test_figures_of_routellm_on_a_router_that_knows_nothing_and_one_that_knows_half():
    nothing = strong_share_curve(np.array([0.5]), np.array([0.5]), weak=0.4, strong=0.6)
    assert average_recovered(nothing) == pytest.approx(0.5)
    assert calls_for(nothing, 0.8) == pytest.approx(0.8)
    # 25 % of the calls recover half: 0.25 * 0.25 + 0.75 * 0.75 = 0.625.
    some = strong_share_curve(np.array([0.25]), np.array([0.5]), weak=0.4, strong=0.6)
    assert average_recovered(some) == pytest.approx(0.625)
    assert calls_for(some, 0.5) == pytest.approx(0.25)
    assert calls_for(some, 0.8) == pytest.approx(0.7)


def test_the_average_improvement_is_the_mean_height_of_the_hull():
    assert average_improvement(curve((1, 0.2), (2, 0.5), (3, 0.6)), 1, 3) == pytest.approx(0.45)
    assert average_improvement(curve((2, 0.6)), 1, 3) == pytest.approx(0.6)


def test_a_ranking_is_judged_within_kinds():
    kinds = np.array(["easy"] * 4 + ["hard"] * 4)
    scores = np.array([1, 1, 1, 0, 0, 0, 0, 1], float)
    by_kind = np.repeat([0.9, 0.1], 4)
    assert auroc(by_kind, scores) == pytest.approx(0.75)
    one_fold = np.zeros(8, np.intp)
    within = auroc_by_kind(by_kind, scores, kinds, one_fold, least=1)
    assert within == {"easy": 0.5, "hard": 0.5}
    assert auroc_by_kind(by_kind, scores, kinds, one_fold, least=2) == {}
    assert auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1.0])) == pytest.approx(0.75)


def test_a_ranking_compares_no_two_folds():
    # Who knows nothing predicts the other folds' mean, which is low where this fold's is high.
    rng = np.random.default_rng(0)
    scores, kinds = rng.integers(0, 2, 200).astype(float), np.array(["one"] * 200)
    folds = np.arange(200) % 5
    means = np.array([scores[folds != fold].mean() for fold in range(5)])[folds]
    assert auroc_by_kind(means, scores, kinds, folds) == {"one": 0.5}
    assert auroc(means, scores) < 0.48
    # What is known within a fold counts all the same, however far apart the folds lie.
    assert auroc_by_kind(means + 0.001 * scores, scores, kinds, folds) == {"one": 1.0}


def test_calibration_error_and_skill_by_hand():
    predicted, scores = np.array([0.2, 0.2, 0.8, 0.8]), np.array([0, 0, 1, 0.0])
    bins = bins_of(predicted, scores, num_bins=2)
    assert [(one.predicted, one.observed, one.count) for one in bins] == [
        pytest.approx((0.2, 0, 2)),
        pytest.approx((0.8, 0.5, 2)),
    ]
    assert calibration_error(bins) == pytest.approx(0.25)
    # Squared errors: 0.04, 0.04, 0.04, 0.64 against 0.0625 three times and 0.5625.
    assert skill(predicted, scores, np.full(4, 0.25)) == pytest.approx(1 - 0.76 / 0.75)


def test_what_noise_permits_is_told_from_samples():
    random = np.random.default_rng(1)
    chances = random.choice([0.2, 0.8], 4000)
    samples = (random.random((4000, 5)) < chances[:, None]).astype(float)
    # Var(p) = 0.09 and E[p(1-p)] = 0.16.
    assert explainable_share(samples) == pytest.approx(0.36, abs=0.03)
    alike = (random.random((4000, 5)) < 0.5).astype(float)
    assert explainable_share(alike) == pytest.approx(0, abs=0.03)
