"""What each policy takes, why, and what it does where too little is known."""

from dataclasses import replace

import numpy as np
import pytest

from tests.routing.situations import BLANK, LADDER, LARGE, LARGEST, MIDDLE, SMALL, chosen, situation
from tiercel.errors import InvalidRequest, NotFound
from tiercel.prediction.quality.calibrating import clopper_pearson
from tiercel.routing.cascade import Cascade, Foresight
from tiercel.routing.costs import Cheapest, CostOnly, Fastest, Static
from tiercel.routing.policy import Forecast
from tiercel.routing.qualities import Budget, Target, Utility
from tiercel.routing.registry import FITTED, POLICIES, PolicySettings, make

READY = [name for name in POLICIES if name not in FITTED]


@pytest.mark.parametrize(
    ("weight", "name"),
    [(0.6, "small"), (0.49, "middle"), (0.08, "middle"), (0.07, "large"), (0.03, "largest")],
)
def test_utility_prices_seconds_in_absolute_units(weight, name):
    # Between neighbours the weight at which they are worth the same: 0.3 / 0.6, 0.2 / 2.6, ...
    assert chosen(Utility(), situation(cost_weight=weight)) == name
    assert chosen(Utility(weight), situation()) == name


def test_the_callers_weight_goes_before_the_policys_own():
    assert chosen(Utility(0.6), situation(cost_weight=0.0)) == "largest"


def test_of_equal_answers_utility_takes_the_soonest():
    drafted = replace(LARGEST, plan_name="drafted", seconds=5.0, answer="largest")
    assert chosen(Utility(), situation(LARGEST, drafted, cost_weight=0.0)) == "drafted"
    assert chosen(Utility(), situation(drafted, LARGEST, cost_weight=0.001)) == "drafted"


def test_a_utility_names_its_numbers():
    reason = Utility().weigh(situation(cost_weight=0.05)).reason
    assert "quality 0.800 - 0.05 x 4.2 s = 0.590" in reason
    assert "before 0.520 of middle" in reason


@pytest.mark.parametrize(("target", "name"), [(0.1, "small"), (0.5, "middle"), (0.51, "large")])
def test_target_takes_the_cheapest_that_is_shown_to_reach_it(target, name):
    assert chosen(Target(), situation(target_quality=target)) == name
    assert chosen(Target(target), situation()) == name


def test_a_target_looks_at_the_bound_and_not_at_the_expectation():
    hopeful = replace(SMALL, quality=0.99, quality_bound=0.4)
    odds = Target().weigh(situation(hopeful, MIDDLE, target_quality=0.45))
    assert odds.probabilities == {"middle": 1.0}


def test_a_target_that_nothing_is_shown_to_reach_is_too_little_evidence():
    for seen in (situation(target_quality=0.95), situation(*BLANK, target_quality=0.5)):
        odds = Target().weigh(seen)
        assert odds.probabilities == {seen.fallback: 1.0}
        assert odds.insufficient_evidence
        assert odds.forced
    near = Target().weigh(situation(target_quality=0.95)).reason
    assert "the nearest, largest, is at least 0.900" in near


@pytest.mark.parametrize("seed", range(3))
def test_what_target_promises_is_kept(seed):
    """Of many fits, each with its own calibration sample, hardly any picks a plan below target."""
    generator = np.random.default_rng(seed)
    truth = {"small": 0.72, "middle": 0.79, "large": 0.84, "largest": 0.93}
    target, broken, number = 0.8, 0, 400
    for _ in range(number):
        plans = [
            replace(one, quality_bound=clopper_pearson(drawn, 200, 0.95))
            for one in LADDER
            if (drawn := generator.binomial(200, truth[one.plan_name])) >= 0
        ]
        odds = Target().weigh(situation(*plans, target_quality=target))
        (name,) = odds.probabilities
        broken += not odds.insufficient_evidence and truth[name] < target
    # 5 % for each of two plans below target; 3 standard deviations of luck.
    assert broken <= 0.1 * number + 3 * np.sqrt(0.1 * 0.9 * number)


def test_budget_takes_the_best_that_is_affordable():
    assert chosen(Budget(), situation(max_seconds=5.0)) == "large"
    assert chosen(Budget(), situation(max_seconds=5.0, max_cost=2.5)) == "middle"
    assert chosen(Budget(), situation()) == "largest"


def test_a_budget_that_nothing_keeps_is_said():
    odds = Budget().weigh(situation(max_seconds=0.5))
    assert odds.probabilities == {"small": 1.0}
    assert "none of 4 plans is predicted to keep the budget" in odds.forced


def test_a_budget_without_qualities_takes_what_is_affordable_and_says_so():
    plain = [replace(one, quality=None, quality_bound=None) for one in LADDER]
    odds = Budget().weigh(situation(*plain, max_seconds=2.0))
    assert odds.probabilities == {"small": 1.0}
    assert odds.insufficient_evidence


def test_costs_and_seconds_alone():
    dear = replace(SMALL, cost=100.0)
    assert chosen(Cheapest(), situation(dear, *LADDER[1:])) == "middle"
    assert chosen(CostOnly(), situation(dear, *LADDER[1:])) == "small"


def test_the_fastest_gives_the_fallbacks_answer():
    drafted = replace(LARGEST, plan_name="drafted", seconds=5.0, answer="root")
    alone = replace(LARGEST, answer="root")
    assert chosen(Fastest(), situation(SMALL, drafted, alone)) == "drafted"
    assert chosen(Fastest(), situation(SMALL, LARGEST)) == "largest"


def test_a_static_plan_that_may_not_be_picked_is_replaced_and_said():
    assert chosen(Static("middle"), situation()) == "middle"
    odds = Static("away").weigh(situation())
    assert odds.probabilities == {"largest": 1.0}
    assert "'away' may not be picked" in odds.forced


def test_a_cascade_starts_smaller_where_a_larger_tier_may_take_over():
    blind, seeing = situation(cost_weight=0.06), situation(cost_weight=0.06, may_escalate=True)
    assert chosen(Utility(), blind) == chosen(Cascade(), blind) == "large"
    assert chosen(Cascade(ahead=Foresight(caught=0.9, spent=0.1)), seeing) == "middle"
    assert chosen(Cascade(ahead=Foresight(caught=0.0)), seeing) == "large"


def test_what_a_fitted_rule_sees_ahead_decides_the_start():
    class Fitted:
        name = "made up"

        def value(self, seen, start, cost_weight):
            return 1.0 if start is LARGE else None

    seen = situation(may_escalate=True)
    assert chosen(Cascade(), seen) == "largest"
    odds = Cascade(ahead=Fitted()).weigh(seen)
    assert odds.probabilities == {"large": 1.0}
    assert "worth 1.000 at 0 a second by made up, 0.800 of it" in odds.reason
    by_thumb = Cascade(ahead=Fitted()).weigh(situation(SMALL, MIDDLE, may_escalate=True))
    assert "by a rule of thumb" in by_thumb.reason


def test_foresight_by_hand():
    start, other = Forecast("a", 1.0, 0.5), Forecast("b", 3.0, 0.9)
    ahead = Foresight(caught=0.5, spent=0.5)
    # Utility 0.4; half of the failures found: 0.5 * (0.4 - 0.1 * 0.5 * (3 - 0.5)).
    assert ahead.value(situation(start, other), start, 0.1) == pytest.approx(0.4 + 0.1375)
    assert ahead.value(situation(start), start, 0.1) == pytest.approx(0.4)


@pytest.mark.parametrize("name", READY)
def test_where_nothing_is_known_every_policy_falls_back_and_says_so(name):
    odds = make(name, PolicySettings()).weigh(situation(*BLANK, fallback="b", may_escalate=True))
    assert sum(odds.probabilities.values()) == pytest.approx(1.0)
    assert odds.reason
    assert odds.insufficient_evidence == (
        name in ("utility", "target", "budget", "cascade", "thompson")
    )
    if name != "random":
        assert odds.probabilities == {"b": 1.0}


def test_policies_are_made_by_name():
    assert {type(make(name, PolicySettings())).__name__ for name in READY} == {
        *("Static", "Random", "Cheapest", "CostOnly", "Fastest"),
        *("Utility", "Target", "Budget", "Cascade", "Thompson"),
    }
    with pytest.raises(NotFound, match="no policy 'best'; the policies are static, random"):
        make("best", PolicySettings())
    for name in FITTED:
        with pytest.raises(InvalidRequest, match=f"policy='{name}': has to be fitted"):
            make(name, PolicySettings())
