"""Thompson's odds over plans, and what a budget makes of them."""

from dataclasses import replace

import pytest

from tests.routing.situations import BLANK, LARGE, SMALL, chosen, situation
from tiercel.routing.beliefs import Belief, odds_of_best
from tiercel.routing.budgeted import Budgeted
from tiercel.routing.policy import Forecast
from tiercel.routing.qualities import Utility
from tiercel.routing.registry import PolicySettings, make
from tiercel.routing.thompson import Thompson

KNOWN = Forecast("known", 1.0, 0.6, num_ratings=200.0)
NEW = Forecast("new", 1.0, 0.5, num_ratings=4.0)
# Dear and quick, cheap and slow, as good as each other.
QUICK = Forecast("quick", seconds=1.0, quality=0.7, cost=10.0)
CHEAP = Forecast("cheap", seconds=4.0, quality=0.6, cost=1.0)


def probabilities(policy, *forecasts, **fields):
    return policy.weigh(situation(*forecasts, **fields)).probabilities


def test_a_plan_is_taken_as_often_as_it_is_the_best():
    beliefs = [Belief(0.6, 200.0), Belief(0.5, 4.0)]
    expected = odds_of_best(beliefs, [0.0, 0.0])
    found = probabilities(Thompson(), KNOWN, NEW)
    assert [found["known"], found["new"]] == pytest.approx(expected.tolist())
    assert 0.2 < found["new"] < 0.4, "it may yet be better"
    sure = probabilities(Thompson(), KNOWN, replace(NEW, num_ratings=400.0))
    assert sure["new"] < 0.02


def test_seconds_have_a_price_by_the_caller_or_the_policy():
    plans = (SMALL, replace(LARGE, quality=0.32))
    free = probabilities(Thompson(), *plans)
    own = probabilities(Thompson(0.02), *plans)
    asked = probabilities(Thompson(0.5), *plans, cost_weight=0.02)
    assert free["large"] > 0.5 > own["large"]
    assert asked == own


def test_plans_of_one_answer_share_a_belief_and_the_soonest_takes_its_odds():
    slow = replace(KNOWN, plan_name="slow", seconds=9.0, answer="known")
    quick = replace(KNOWN, plan_name="quick", seconds=0.5, answer="known")
    found = probabilities(Thompson(), slow, quick, NEW)
    assert "slow" not in found
    assert found["quick"] == pytest.approx(probabilities(Thompson(), KNOWN, NEW)["known"])


def test_what_was_never_rated_is_tried_and_nothing_at_all_is_no_ground():
    found = probabilities(Thompson(), KNOWN, Forecast("never", 1.0))
    assert found["never"] == pytest.approx(0.4, abs=0.01), "any quality alike: above 0.6 in 40 %"
    odds = Thompson().weigh(situation(*BLANK, fallback="b"))
    assert odds.insufficient_evidence and odds.probabilities == {"b": 1.0}
    timeless = [replace(one, seconds=None) for one in (KNOWN, NEW)]
    assert Thompson(0.1).weigh(situation(*timeless)).insufficient_evidence
    assert not Thompson().weigh(situation(*timeless)).insufficient_evidence


def test_an_answer_explains_itself():
    odds = make("thompson", PolicySettings()).weigh(situation(KNOWN, NEW))
    assert odds.reason.startswith("the likeliest best of 2 answers, known, is it with probability ")


@pytest.mark.parametrize("inner", [Utility(), make("cascade", PolicySettings())])
def test_a_budget_weighs_cost_and_not_seconds(inner):
    policy = Budgeted(inner)
    assert chosen(policy, situation(QUICK, CHEAP)) == "quick"
    assert chosen(policy, situation(QUICK, CHEAP, budget_weight=0.001)) == "quick"
    equal = (replace(CHEAP, quality=0.7), QUICK)
    assert chosen(policy, situation(*equal, budget_weight=0.0)) == "quick", "nothing presses"
    assert chosen(policy, situation(*equal, budget_weight=0.001)) == "cheap"
    odds = policy.weigh(situation(QUICK, CHEAP, budget_weight=0.1, may_escalate=True))
    assert odds.probabilities == {"cheap": 1.0}
    assert odds.reason.startswith("cost for seconds, to keep the budget: ")
    seconds = situation(QUICK, CHEAP, cost_weight=0.1)
    assert chosen(policy, seconds) == "quick", "the same weight of seconds says otherwise"


def test_who_says_what_a_second_is_worth_goes_before_the_budget():
    asked = situation(QUICK, CHEAP, cost_weight=0.0, budget_weight=0.1)
    assert chosen(Budgeted(Utility()), asked) == "quick"
    told = situation(QUICK, CHEAP, budget_weight=0.1)
    assert chosen(Budgeted(Utility(0.01), 0.01), told) == "quick"
    assert chosen(Budgeted(Utility(0.0), 0.0), told) == "cheap"
