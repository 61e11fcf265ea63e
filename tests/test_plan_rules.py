"""Which plans are refused, and that nothing else is."""

import pytest

from tiercel.errors import PlanRefused
from tiercel.plan_rules import LOCAL, MAX_DEPTH, check_address, check_plan, check_shape
from tiercel.types import Plan


def chain(*tiers: str) -> Plan:
    plan = Plan(tiers[-1], f"{tiers[-1]}:1")
    for tier in reversed(tiers[:-1]):
        plan = Plan(tier, f"{tier}:1", drafters=(plan,))
    return plan


def test_a_chain_of_the_greatest_depth_is_taken():
    check_plan(chain(*(f"tier{index}" for index in range(MAX_DEPTH))))


def test_one_tier_more_is_refused():
    with pytest.raises(PlanRefused, match="deeper"):
        check_plan(chain(*(f"tier{index}" for index in range(MAX_DEPTH + 1))))


def test_a_tier_twice_on_one_path_is_refused():
    plan = Plan("a", "a:1", drafters=(Plan("b", "b:1", drafters=(Plan("a", "other:1"),)),))
    with pytest.raises(PlanRefused, match="'a' stands twice"):
        check_plan(plan)


def test_an_address_twice_on_one_path_is_refused():
    plan = Plan("a", "a:1", drafters=(Plan("b", "b:1", drafters=(Plan("c", "a:1"),)),))
    with pytest.raises(PlanRefused, match="'a:1' stands twice"):
        check_plan(plan)


def test_the_same_drafter_twice_is_refused_and_two_replicas_are_taken():
    one, other = Plan("b", "b:1"), Plan("b", "b:2")
    check_plan(Plan("a", "a:1", drafters=(one, other)))
    with pytest.raises(PlanRefused, match="'a' has one drafter twice"):
        check_plan(Plan("a", "a:1", drafters=(one, other, one)))


def test_a_tier_on_two_paths_is_taken():
    leaf = Plan("suffix", "s:1")
    sides = (Plan("b", "b:1", drafters=(leaf,)), Plan("c", "c:1", drafters=(leaf,)))
    check_plan(Plan("a", "a:1", drafters=sides))


def test_two_tiers_without_an_address_yet_are_not_one_address():
    check_shape(Plan("a", drafters=(Plan("b"),)))


def test_a_drafter_without_an_address_cannot_be_opened():
    with pytest.raises(PlanRefused, match="'b' has no address"):
        check_plan(Plan("a", drafters=(Plan("b"),)))


def test_a_tier_without_a_name_is_refused():
    with pytest.raises(PlanRefused, match="name"):
        check_plan(Plan("a", drafters=(Plan("", "b:1"),)))


def test_an_address_that_no_pattern_allows_is_refused_at_any_depth():
    plan = chain("a", "b", "c")
    check_plan(plan, allowed=["b:*", "c:*"])
    with pytest.raises(PlanRefused, match="'c:1' of tier 'c' is not allowed"):
        check_plan(plan, allowed=["b:*"])


def test_the_root_is_looked_up_only_by_who_dials_it():
    plan = chain("a", "b")
    check_plan(plan, allowed=["b:1"])
    with pytest.raises(PlanRefused, match="'a:1'"):
        check_address(plan, ["b:1"])


def test_a_local_drafter_is_taken_wherever_there_is_a_parent_whatever_addresses_are_allowed():
    leaf = Plan("suffix", LOCAL)
    check_plan(Plan("a", "a:1", drafters=(leaf,)), allowed=())
    middle = Plan("b", "b:1", drafters=(leaf,))
    check_plan(Plan("a", "a:1", drafters=(middle, leaf)), allowed=("b:*",))


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (Plan("a", LOCAL), "cannot answer"),
        (Plan("a", "a:1", drafters=(Plan("b", LOCAL, (Plan("c", "c:1"),)),)), "nothing drafts"),
        (Plan("a", "a:1", drafters=(Plan("b", LOCAL), Plan("c", LOCAL))), "would be the same"),
    ],
    ids=["root", "not a leaf", "twice"],
)
def test_local_is_for_one_leaf_of_each_parent(plan: Plan, why: str):
    with pytest.raises(PlanRefused, match=why):
        check_plan(plan)
