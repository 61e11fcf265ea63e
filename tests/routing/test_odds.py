"""Odds are exact: they add up, a draw follows them, nothing depends on what was asked before."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.situations import LADDER, LARGE, MIDDLE, SMALL, situation
from tiercel.routing.costs import Random
from tiercel.routing.policy import Forecast, Odds, Wishes
from tiercel.routing.qualities import Target, Utility
from tiercel.routing.registry import FITTED, POLICIES, PolicySettings, make
from tiercel.routing.wrapping import Exploring, Sticky

READY = [name for name in POLICIES if name not in FITTED]
share = st.floats(0, 1)
some = st.none() | share


@st.composite
def situations(draw):
    number = draw(st.integers(1, 5))
    plans = [
        Forecast(f"p{index}", draw(some), draw(some), draw(some), draw(some), answer=draw(answers))
        for index in range(number)
    ]
    wishes = Wishes(draw(some), draw(some), draw(some), draw(some))
    names = [one.plan_name for one in plans]
    fallback, incumbent = draw(st.sampled_from(names)), draw(st.sampled_from(["", "away", *names]))
    seen = situation(*plans, fallback=fallback, incumbent=incumbent)
    return replace(seen, wishes=wishes, may_escalate=draw(st.booleans()))


answers = st.sampled_from(["", "x", "y"])


@given(situations(), st.sampled_from(READY), share, share)
def test_odds_add_up_and_are_of_plans_that_may_be_picked(seen, name, epsilon, needed):
    inner = make(name, PolicySettings())
    policy = Exploring(Sticky(inner, margin=needed, switch_cost=0.0), epsilon)
    odds = policy.weigh(seen)
    assert sum(odds.probabilities.values()) == pytest.approx(1.0)
    assert all(one >= 0 for one in odds.probabilities.values())
    assert odds.probabilities.keys() <= {one.plan_name for one in seen.forecasts}
    assert odds.reason
    assert odds.drawn(0.0) in odds.probabilities
    assert odds.probabilities[odds.drawn(1.0 - 2**-53)] > 0


@given(situations(), situations(), st.sampled_from(READY))
def test_what_was_asked_before_changes_nothing(first, second, name):
    policy = Exploring(Sticky(make(name, PolicySettings()), margin=0.1, switch_cost=0.1), 0.1)
    before = policy.weigh(first)
    policy.weigh(second)
    assert policy.weigh(first) == before


def test_draws_come_as_often_as_the_odds_say():
    odds = Exploring(Utility(), 0.2).weigh(situation(cost_weight=0.0))
    assert odds.probabilities["largest"] == pytest.approx(0.85)
    assert odds.probabilities["small"] == pytest.approx(0.05)
    uniforms = np.random.default_rng(0).random(20_000)
    count = Counter(odds.drawn(one) for one in uniforms.tolist())
    for name, probability in odds.probabilities.items():
        error = np.sqrt(probability * (1 - probability) / 20_000)
        assert abs(count[name] / 20_000 - probability) < 5 * error


def test_a_plan_without_odds_is_never_drawn():
    odds = Odds({"a": 0.0, "b": 1.0, "c": 0.0}, "")
    assert {odds.drawn(one) for one in (0.0, 0.5, 1.0 - 2**-53)} == {"b"}
    short = Odds({"a": 0.3, "b": 0.6999999, "c": 0.0}, "")
    assert short.drawn(0.99999999) == "b"


@pytest.mark.parametrize(
    "probabilities", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}, {"a": 1, "b": 1}]
)
def test_what_does_not_add_up_to_one_are_no_odds(probabilities):
    with pytest.raises(ValueError, match="add up to 1"):
        Odds(probabilities, "")


def test_without_exploration_nothing_is_mixed():
    seen = situation(cost_weight=0.0)
    assert Exploring(Utility(), 0.0).weigh(seen) == Utility().weigh(seen)


def test_a_target_binds_exploration():
    odds = Exploring(Target(), 0.4).weigh(situation(target_quality=0.5))
    assert odds.probabilities == pytest.approx(
        {"middle": 0.6 + 0.4 / 3, "large": 0.4 / 3, "largest": 0.4 / 3}
    )
    single = Exploring(Target(), 0.4).weigh(situation(target_quality=0.8))
    assert single.probabilities == {"largest": 1.0}


def test_where_there_was_no_choice_nothing_is_explored():
    odds = Exploring(Target(), 0.4).weigh(situation(target_quality=0.99))
    assert odds.probabilities == {"largest": 1.0}
    assert odds.insufficient_evidence


@pytest.mark.parametrize(("needed", "name"), [(0.19, "large"), (0.21, "middle")])
def test_a_conversation_stays_unless_a_plan_is_better_by_margin_and_switch(needed, name):
    seen = situation(SMALL, MIDDLE, LARGE, cost_weight=0.0, incumbent="middle")
    policy = Sticky(Utility(), margin=needed / 2, switch_cost=needed / 2)
    odds = policy.weigh(seen)
    assert odds.probabilities == {name: 1.0}
    if name == "middle":
        assert "stays with middle: large gains 0.200, a switch needs 0.21" in odds.reason


def test_drafters_below_the_same_root_change_freely():
    other = replace(MIDDLE, plan_name="drafted", seconds=1.0, answer="root")
    incumbent = replace(MIDDLE, answer="root")
    seen = situation(incumbent, other, cost_weight=0.1, incumbent="middle")
    assert Sticky(Utility(), margin=1.0, switch_cost=1.0).weigh(seen).probabilities == {
        "drafted": 1.0
    }


def test_an_incumbent_that_is_away_or_below_the_target_holds_nobody():
    policy = Sticky(Target(), margin=1.0, switch_cost=1.0)
    assert policy.weigh(situation(target_quality=0.7, incumbent="middle")).probabilities == {
        "large": 1.0
    }
    away = situation(LARGE, cost_weight=0.0, incumbent="gone")
    assert Sticky(Utility(), margin=1.0, switch_cost=1.0).weigh(away).probabilities == {
        "large": 1.0
    }


def test_the_odds_of_plans_that_gain_too_little_go_to_the_incumbent():
    seen = situation(*LADDER, cost_weight=0.0, incumbent="large")
    odds = Sticky(Random(), margin=0.1, switch_cost=0.0).weigh(seen)
    assert odds.probabilities == pytest.approx({"large": 0.75, "largest": 0.25})
