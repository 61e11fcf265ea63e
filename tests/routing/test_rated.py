"""Qualities after ratings: posterior means, by hand."""

import pytest

from tiercel.learning import RootQuality
from tiercel.routing.rated import expected

# 60 ratings of mean 0.5, all of answers that had been predicted to be 0.7.
WHOLE = RootQuality("target", "", 0.5, 0.4, 0.6, 60.0, num_predicted=60.0, excess=-0.2)
MATHS = RootQuality("target", "maths", 0.9, 0.7, 0.95, 20.0, num_predicted=20.0, excess=0.1)


def test_without_ratings_nothing_changes():
    found = expected(0.8, 0.6, [])
    assert (found.quality, found.bound, found.num_ratings) == (0.8, 0.6, 20.0)
    assert expected(None, None, []).quality is None
    assert expected(0.8, None, []).bound is None


def test_a_posterior_mean_by_hand():
    found = expected(0.7, 0.6, [WHOLE])
    assert found.quality == pytest.approx((20 * 0.7 + 60 * 0.5) / 80)
    assert found.bound == pytest.approx((20 * 0.6 + 60 * 0.4) / 80)
    assert found.num_ratings == 80.0


def test_prompts_stay_as_far_apart_as_they_were_predicted():
    """However many ratings there are: they speak of the root, and not of the prompt."""
    easy, hard = (expected(one, None, [WHOLE]).quality for one in (0.9, 0.4))
    assert easy - hard == pytest.approx(0.5)
    blind = RootQuality("target", "", 0.5, 0.4, 0.6, 60.0)
    flat = [expected(one, None, [blind]).quality for one in (0.9, 0.4)]
    assert flat[0] - flat[1] == pytest.approx(0.5 * 20 / 80), "of these nothing was predicted"


def test_all_kinds_are_the_prior_of_one():
    found = expected(0.7, 0.6, [WHOLE, MATHS])
    whole = (20 * 0.7 + 60 * 0.5) / 80
    assert found.quality == pytest.approx((20 * whole + 20 * 0.8) / 40)
    assert found.num_ratings == 40.0
    bound = (20 * 0.6 + 60 * 0.4) / 80
    assert found.bound == pytest.approx((20 * bound + 20 * (0.8 - 0.2)) / 40)


def test_ratings_alone_are_a_quality():
    found = expected(None, None, [WHOLE, MATHS])
    assert (found.quality, found.bound, found.num_ratings) == (0.9, 0.7, 24.0)
    bounded = expected(0.7, None, [WHOLE])
    assert bounded.bound == pytest.approx(0.4), "the predictor had too little evidence for one"


def test_a_quality_stays_a_share():
    best = RootQuality("target", "", 1.0, 0.9, 1.0, 1e6, num_predicted=1e6, excess=0.4)
    worst = RootQuality("target", "", 0.0, 0.0, 0.1, 1e6, num_predicted=1e6, excess=-0.9)
    assert expected(0.9, 0.8, [best]).quality == pytest.approx(1.0, abs=1e-4)
    low = expected(0.5, 0.4, [worst])
    assert low.quality == pytest.approx(0.0, abs=1e-4)
    assert 0.0 <= low.bound <= low.quality
