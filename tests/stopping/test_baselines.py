"""The baselines do what their papers say."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.stopping.synthetic import blind_data, ladder
from tests.stopping.test_programme import QUALITIES, SECONDS
from tiercel.errors import InvalidRequest
from tiercel.stopping.pandora import PandoraRule, fit_pandora
from tiercel.stopping.replay import replay
from tiercel.stopping.scores import cross_fitted_scores
from tiercel.stopping.tabular import fit_tabular
from tiercel.stopping.thresholds import ThresholdRule, fit_thresholds


@pytest.mark.parametrize("recall", [True, False])
@pytest.mark.parametrize(("cost_weight", "stage"), [(0.2, 0), (0.1, 1), (0.03, 2), (0.01, 3)])
def test_thresholds_and_the_table_choose_every_stage_of_the_blind_case(
    cost_weight: float, stage: int, recall: bool
):
    data = blind_data(QUALITIES, SECONDS)
    rules = [
        fit_thresholds(data, cost_weight, recall=recall, num_values=1),
        fit_tabular(data, cost_weight, recall=recall),
    ]
    for rule in rules:
        assert set(replay(rule, data).last) == {stage}


def test_a_threshold_is_the_score_from_which_one_stops():
    data = ladder(50, 0)
    fitted = fit_thresholds(data, 0.05, recall=False)
    rule = ThresholdRule(fitted.scores, False, (0.4, -np.inf))
    best = np.array([0.39, 0.4, 0.41])
    ask = (data.evidence[:3, 0], data.kinds[:3], best)
    assert rule.next_stages(0, *ask).tolist() == [1, 0, 0]
    assert rule.next_stages(1, *ask).tolist() == [1, 1, 1]
    assert rule.next_stages(2, *ask).tolist() == [2, 2, 2]


@pytest.mark.parametrize("recall", [True, False])
def test_no_thresholds_are_better_on_the_items_they_were_searched_on(recall: bool):
    data, weight = ladder(300, 1), 0.08
    fitted = fit_thresholds(data, weight, recall=recall)

    def value(thresholds: tuple[float, float]) -> float:
        """Of the rule on cross-fitted scores, which the search was on."""
        scores, total = cross_fitted_scores(data), 0.0
        for row in range(len(data)):
            stage, kept, spent = 0, 0, data.seconds[row, 0, 0]
            while stage < 2 and scores[row, kept] < thresholds[stage]:
                stage += 1
                spent += data.seconds[row, stage, stage]
                kept = stage if not recall or scores[row, stage] > scores[row, kept] else kept
            total += data.quality[row, kept] - weight * spent
        return total / len(data)

    best = value(fitted.thresholds)
    grid = [(-np.inf, *np.quantile(cross_fitted_scores(data)[:, 0], (0.2, 0.5, 0.8)), np.inf)] * 2
    assert best > max(value(each) for each in product(*grid)) - 0.005
    assert best > value((-np.inf, -np.inf)) + 0.01


def test_many_stages_are_searched_more_coarsely():
    stages = range(6)  # 13 thresholds before each would be 371,293 combinations
    data = blind_data([0.2 + 0.1 * stage for stage in stages], [1 + stage for stage in stages])
    for cost_weight, stage in ((1.0, 0), (0.01, 5)):
        assert set(replay(fit_thresholds(data, cost_weight, recall=True), data).last) == {stage}


def test_a_search_that_never_ends_is_refused():
    data = ladder(30, 2)
    with pytest.raises(InvalidRequest, match="combinations"):
        fit_thresholds(data, 0.1, recall=True, num_values=1000)
    seconds = data.seconds.copy()
    seconds[:, 1, 1] = np.inf
    with pytest.raises(InvalidRequest, match="cannot follow"):
        fit_thresholds(replace(data, seconds=seconds), 0.1, recall=True)


def test_pandora_opens_the_box_of_the_greatest_reservation_value():
    data = ladder(10, 3)
    rule = PandoraRule(fit_pandora(data, 0.1, num_folds=2).scores, {(0, 1): 0.3, (0, 2): 0.6})
    best = np.array([0.2, 0.5, 0.6, 0.7])
    ask = (data.evidence[:4, 0], data.kinds[:4], best)
    assert rule.next_stages(0, *ask).tolist() == [2, 2, 0, 0]
    assert rule.next_stages(2, *ask).tolist() == [2, 2, 2, 2]


def test_the_table_has_at_most_twenty_states_a_stage():
    data = ladder(200, 4)
    for recall, num_bins in ((True, 5), (False, 20)):
        table = fit_tabular(data, 0.1, recall=recall, num_bins=num_bins)
        assert max(len(each) for each in table.programme.rewards) == (15 if recall else 20)
        with pytest.raises(InvalidRequest, match="num_bins"):
            fit_tabular(data, 0.1, recall=recall, num_bins=num_bins + 1)


def test_transitions_are_smoothed_towards_how_all_items_are_spread():
    """One item in a state says little; without a prior it would say all."""
    data = ladder(40, 5)
    sharp = fit_tabular(data, 0.1, recall=False, num_bins=4, prior_rows=1e-9).programme
    smooth = fit_tabular(data, 0.1, recall=False, num_bins=4, prior_rows=1e9).programme
    rows = smooth.transitions[0, 1]
    assert rows == pytest.approx(np.tile(rows[0], (4, 1)), abs=1e-6)
    assert np.ptp(sharp.transitions[0, 1], axis=0).max() > 0.3


def test_with_recall_the_best_score_is_never_lost():
    table = fit_tabular(ladder(200, 6), 0.1, recall=True, num_bins=5)
    best = np.array([best for best in range(5) for _ in range(best + 1)])
    own = np.array([own for best in range(5) for own in range(best + 1)])
    for chances in table.programme.transitions.values():
        for state, row in enumerate(chances):
            reached = row > 0
            assert reached.any()
            assert (best[reached] == np.maximum(own[reached], best[state])).all()


def test_the_tables_numbers_by_hand():
    data = ladder(2000, 7, noise=1.5)
    table = fit_tabular(data, 0.1, recall=True, num_bins=3, prior_rows=2.0)
    scores = cross_fitted_scores(data)
    bins = np.searchsorted(table.edges, scores)
    best = np.maximum(bins[:, 0], bins[:, 1])
    here = (best == 2) & (bins[:, 1] == 1)  # after stage 1 the fifth state: 3 + 1
    kept = np.argmax(scores[:, :2], axis=1)
    won = data.quality[np.arange(2000), kept][here].sum() + 2.0 * scores[bins == 2].mean()
    assert here.sum() > 5
    assert table.programme.rewards[1][4] == pytest.approx(won / (here.sum() + 2.0))
    # From there the best bin stays 2, whatever stage 2 says: states 3, 4, 5.
    chances = [
        ((bins[here, 2] == own).sum() + 2.0 * (bins[:, 2] == own).mean()) / (here.sum() + 2.0)
        for own in range(3)
    ]
    assert table.programme.transitions[1, 2][4].tolist() == pytest.approx([0, 0, 0, *chances])
    assert table.programme.seconds == {(0, 1): 2.0, (1, 2): 4.0}


@pytest.mark.parametrize("count", range(21, 54, 4))
def test_scores_that_differ_by_rounding_are_in_one_bin(count: int):
    data = blind_data(QUALITIES, SECONDS, count)
    table = fit_tabular(data, 0.1, recall=True)
    assert table.edges.tolist() == pytest.approx([0.45, 0.7, 0.875])
