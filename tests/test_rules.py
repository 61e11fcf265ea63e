"""Where in a plan a rule may stand, and which rule is as strict as another."""

import pytest

from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.plan_rules import check_shape
from tiercel.plan_text import parse_plan
from tiercel.rules import check_acceptance, check_not_laxer, check_rules, is_lossy, rule_at
from tiercel.types import Acceptance, Evidence, Rule

EXACT, REJECTION, BLOCK = map(Acceptance, (Rule.EXACT, Rule.REJECTION, Rule.BLOCK))
LOSSY = [rule for rule in Rule if is_lossy(rule)]
# They divide by what a draft token was drawn from.
DIVIDING = ["rejection", "block", "ensemble=0.5", "lenient=0.5", "cascade_opt=0.5"]
INNER = [f"{rule.value}=0.5" for rule in LOSSY]


def test_the_three_rules_that_promise_something_are_not_lossy():
    assert set(Rule) - set(LOSSY) == {Rule.EXACT, Rule.REJECTION, Rule.BLOCK}


@pytest.mark.parametrize("root", DIVIDING)
@pytest.mark.parametrize("inner", INNER)
def test_no_lossy_rule_lies_below_one_that_has_to_know_how_tokens_were_drawn(root, inner):
    plan = parse_plan(f"root{{{root}}} <- middle{{{inner}}} <- leaf").plan()
    with pytest.raises(PlanRefused, match="tier 'middle' judges by"):
        check_shape(plan)


@pytest.mark.parametrize("root", DIVIDING)
@pytest.mark.parametrize("inner", ["", "{rejection}", "{block}", "{exact}", "{lenient}"])
def test_rules_that_keep_a_distribution_lie_below_any(root, inner):
    check_shape(parse_plan(f"root{{{root}}} <- middle{inner} <- leaf").plan())


def test_what_must_hold_below_a_root_holds_further_down_as_well():
    deep = "root{rejection} <- one{block} <- two{typical=0.5} <- leaf"
    with pytest.raises(PlanRefused, match="tier 'two' judges by typical"):
        check_shape(parse_plan(deep).plan())
    # Below a tier that keeps what it likes anyway, anything goes.
    check_shape(parse_plan("root <- one{block} <- two <- leaf").plan())
    with pytest.raises(PlanRefused, match="tier 'two' judges by typical"):
        check_shape(parse_plan("root <- one{block} <- two{typical=0.5} <- leaf").plan())


@pytest.mark.parametrize("root", ["", "{typical=0.3}", "{relaxed=0}", "{cosd_rule=0.5}"])
@pytest.mark.parametrize("inner", INNER)
def test_below_other_rules_anything_goes(root, inner):
    check_shape(parse_plan(f"root{root} <- middle{{{inner}}} <- leaf").plan())


def test_a_leaf_has_nothing_to_judge():
    check_shape(parse_plan("root{rejection} <- leaf{lenient=0.1}").plan())


def test_a_drafter_knows_what_its_own_parent_asks():
    plan = parse_plan("middle{lenient=0.5} <- leaf").plan()
    check_rules(plan, Evidence.PROBS)
    with pytest.raises(PlanRefused, match="'middle' judges by lenient"):
        check_rules(plan, Evidence.DISTRIBUTIONS)


def test_exact_below_a_rule_that_divides_means_exact_in_distribution():
    assert rule_at(EXACT, Evidence.DISTRIBUTIONS) == REJECTION
    assert rule_at(Acceptance(Rule.LENIENT, 1.0), Evidence.DISTRIBUTIONS) == REJECTION
    assert rule_at(BLOCK, Evidence.DISTRIBUTIONS) == BLOCK
    assert rule_at(EXACT, Evidence.PROBS) == EXACT


@pytest.mark.parametrize("rule", LOSSY)
def test_a_lossy_rule_may_become_stricter_and_never_laxer(rule):
    allowed = Acceptance(rule, 0.5)
    for stricter in (allowed, Acceptance(rule, 0.7), REJECTION, BLOCK, EXACT, Acceptance(rule)):
        check_not_laxer(stricter, allowed)
    others = [Acceptance(other, 0.9) for other in LOSSY if other is not rule]
    for laxer in (Acceptance(rule, 0.4), *others):
        with pytest.raises(PlanRefused, match="laxer than what was allowed"):
            check_not_laxer(laxer, allowed)


def test_what_promises_the_same_tokens_is_stricter_than_what_promises_their_distribution():
    for stricter, allowed in ((EXACT, REJECTION), (BLOCK, REJECTION), (REJECTION, BLOCK)):
        check_not_laxer(stricter, allowed)
    for laxer, allowed in ((REJECTION, EXACT), (Acceptance(Rule.TYPICAL, 0.9), BLOCK)):
        with pytest.raises(PlanRefused, match="laxer"):
            check_not_laxer(laxer, allowed)
    check_not_laxer(Acceptance(Rule.TYPICAL, 1.0), EXACT)


def test_fewer_drafters_that_have_to_agree_are_laxer():
    allowed = Acceptance(Rule.AGREEMENT, 0.8, 3)
    check_not_laxer(Acceptance(Rule.AGREEMENT, 0.8, 4), allowed)
    with pytest.raises(PlanRefused):
        check_not_laxer(Acceptance(Rule.AGREEMENT, 0.8, 2), allowed)


@pytest.mark.parametrize("strictness", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_strictness_is_a_share(strictness):
    with pytest.raises(InvalidRequest, match="strictness"):
        check_acceptance(Acceptance(Rule.LENIENT, strictness))
