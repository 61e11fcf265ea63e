"""Calibration: curves that keep the order, and lower bounds that hold as often as they say."""

import numpy as np
import pytest
from scipy.stats import binom

from tiercel.prediction.quality.calibrating import calibrated, clopper_pearson
from tiercel.prediction.quality.settings import QualitySettings

SETTINGS = QualitySettings()


def made_up(number, seed=0):
    """Logits that are twice as sure as they should be, and what came of them."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=number) * 2
    scores = random.random(number) < 1 / (1 + np.exp(-logits / 2))
    return logits.astype(np.float32), scores.astype(np.float32)


@pytest.mark.parametrize("number", [1000, 3000])
def test_overconfident_logits_are_put_right(number):
    curve = calibrated(*made_up(number), SETTINGS)
    assert (curve.method, curve.num_items) == ("platt", number)
    logits, _ = made_up(4000, seed=1)
    truth = 1 / (1 + np.exp(-logits / 2))
    before = np.abs(1 / (1 + np.exp(-logits)) - truth).mean()
    assert np.abs(curve.quality(logits) - truth).mean() < 0.4 * before
    ordered = curve.quality(np.sort(logits))
    assert (np.diff(ordered) >= 0).all()


def test_a_few_items_move_a_logit_little():
    curve = calibrated(np.zeros(10, np.float32), np.ones(10, np.float32), SETTINGS)
    assert 0.5 < curve.quality(np.zeros(1, np.float32))[0] < 0.75


def test_without_data_a_logit_is_taken_at_its_word():
    nothing = np.array([], np.float32)
    curve = calibrated(nothing, nothing, SETTINGS)
    assert curve.quality(np.array([-1.0, 0.0, 1.0])) == pytest.approx(
        [0.2689, 0.5, 0.7311], abs=1e-3
    )
    assert np.isnan(curve.bound(np.array([0.5], np.float32))).all()
    assert curve.method == "none"


@pytest.mark.parametrize(("right", "number"), [(0, 50), (3, 50), (45, 50), (50, 50), (700, 1000)])
def test_the_bound_is_where_so_many_successes_become_unlikely(right, number):
    bound = clopper_pearson(right, number, 0.95)
    at_least = binom.sf(right - 1, number, bound)
    assert at_least == pytest.approx(0.05 if right else 1.0, abs=1e-6)


def test_a_bin_has_fifty_items_or_more_and_equal_qualities_share_one():
    logits = np.repeat([-1.0, 1.0], [40, 160]).astype(np.float32)
    scores = np.ones(200, np.float32)
    curve = calibrated(logits, scores, SETTINGS)
    assert len(curve.bounds) == 1  # 40 are too few for a bin of their own
    logits = np.repeat([-1.0, 1.0], [60, 140]).astype(np.float32)
    scores[:60] = 0.0
    curve = calibrated(logits, scores, SETTINGS)
    assert curve.bounds == (0.0, pytest.approx(0.05 ** (1 / 140)))


def test_bounds_hold_for_nine_bins_of_ten():
    held, number = 0, 0
    for seed in range(20):
        curve = calibrated(*made_up(500, seed), SETTINGS)
        logits, _ = made_up(4000, seed=100 + seed)
        truth = 1 / (1 + np.exp(-logits / 2))
        bins = np.searchsorted(curve.edges, curve.quality(logits), side="right") - 1
        for one, bound in enumerate(curve.bounds):
            held += bool(truth[bins == one].mean() >= bound)
            number += 1
    assert number >= 150
    assert 0.9 <= held / number < 1.0
