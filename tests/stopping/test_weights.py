"""The default weight is the largest that loses little, with what is said of early stops."""

import numpy as np
import pytest

from tests.stopping.synthetic import blind_data, ladder
from tiercel.errors import InvalidRequest
from tiercel.stopping.calibration import calibration_error, calibration_table
from tiercel.stopping.fitting import fit
from tiercel.stopping.replay import Replay, replay
from tiercel.stopping.weights import choose_weight, default_cost_weight


def of_quality(quality: float, last: list[int]) -> Replay:
    count = len(last)
    at = np.array(last)
    return Replay(at, at, np.full(count, 0.5), np.full(count, quality), np.ones(count))


def test_the_largest_weight_that_loses_at_most_a_point_is_taken():
    data = blind_data((0.5, 0.8, 0.7), (1.0, 2.0, 3.0), 4)
    last = [0, 1, 2, 2]
    qualities = {0.1: 0.80, 0.3: 0.79, 0.2: 0.85, 0.4: 0.789, 0.5: 0.5}
    found = choose_weight(data, {each: of_quality(q, last) for each, q in qualities.items()})
    assert (found.best_static, found.static_quality) == ("b", pytest.approx(0.8))
    assert found.static_seconds == 2.0
    assert [each.cost_weight for each in found.points] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert found.chosen is not None and found.chosen.cost_weight == 0.3
    assert found.chosen.early_share == 0.5
    assert sum(each.count for each in found.calibration) == 2  # of the early ones
    assert found.calibration[0].predicted == 0.5 and found.calibration[0].observed == 0.79


def test_where_every_weight_loses_more_none_is_chosen():
    data = blind_data((0.5, 0.8), (1.0, 2.0), 4)
    found = choose_weight(data, {0.1: of_quality(0.7, [0] * 4)})
    assert found.chosen is None and found.calibration == ()
    with pytest.raises(InvalidRequest, match="weights"):
        choose_weight(data, {})


def test_policies_are_fitted_to_the_training_items_and_judged_on_the_others():
    train, validation = (ladder(1000, seed, noise=0.3, seconds=(1, 2)) for seed in (0, 1))
    weights = (0.0, 0.02, 0.05, 5.0)
    found = default_cost_weight(train, validation, weights, recall=True)
    assert found.chosen is not None and found.chosen.cost_weight < 5.0
    assert found.chosen.quality >= found.static_quality - 0.01
    again = replay(fit(train, found.chosen.cost_weight, recall=True), validation)
    assert found.chosen.quality == again.quality.mean()
    assert found.chosen.early_share == (again.last == 0).mean() > 0
    shares = [each.early_share for each in found.points]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert calibration_error(found.calibration) < 0.15


def test_a_calibration_table_by_hand():
    scores = np.array([0.9, 0.1, 0.2, 0.8])
    low, high = calibration_table(scores, np.array([1.0, 0.0, 0.5, 0.5]), 2)
    assert (low.lowest, low.highest, low.count) == (0.1, 0.2, 2)
    assert (low.predicted, low.observed) == (pytest.approx(0.15), 0.25)
    assert (high.predicted, high.observed) == (pytest.approx(0.85), 0.75)
    assert calibration_error((low, high)) == pytest.approx(0.1)


def test_no_answers_have_no_calibration():
    assert calibration_table(np.zeros(0), np.zeros(0)) == ()
    assert calibration_error(()) == 0.0
