"""Rules of composition that every plan must keep, whoever made it; knows no transport."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tiercel.errors import PlanRefused
from tiercel.rules import check_rules
from tiercel.types import Plan

MAX_DEPTH = 8
# In place of an address: a drafter without a model in its parent's own process.
LOCAL = "local"
MAX_TIERS = 32  # in one plan, each drafter counted


def check_plan(plan: Plan, *, allowed: Sequence[str] = ("*",)) -> None:
    """Raise PlanRefused unless `plan` may be opened below the tier that is its root.

    `allowed` are shell patterns of addresses. The root's own address is not looked up there: the
    caller is that root, or checks it with `check_address` before dialling.
    """
    check_shape(plan)
    if plan.acceptance.learned:
        why = "only a router knows the learned strictness; a tier needs a number"
        raise PlanRefused(f"tier {plan.tier!r}: {why}")
    for drafter in plan.walk():
        if drafter is not plan:
            check_address(drafter, allowed)


def check_shape(plan: Plan) -> None:
    """Raise PlanRefused for an empty name, a tier or address twice on one path, or depth over 8.

    One parent cannot have the very same drafter twice either, nor a tier a rule that the one above
    it does not bear. `local` is for leaves below a root, a learned strictness for the root.
    """
    num_tiers = sum(1 for _ in plan.walk())
    if num_tiers > MAX_TIERS:
        raise PlanRefused(f"the plan has {num_tiers} tiers, over {MAX_TIERS}")
    _check_path(plan, ())
    check_rules(plan)
    learned = (part.tier for part in plan.walk() if part is not plan and part.acceptance.learned)
    for tier in learned:
        why = "what is learned is how much an answer bears, and only the root's rule touches that"
        raise PlanRefused(f"tier {tier!r} drafts: {why}")


def check_newer(plan: Plan, version: int) -> None:
    """Raise PlanRefused unless a re-plan comes after the plan that is in force."""
    if plan.version <= version:
        raise PlanRefused(f"version {plan.version} does not follow version {version}")


def check_address(plan: Plan, allowed: Sequence[str]) -> None:
    """Raise PlanRefused unless the root of `plan` has an address that a pattern allows."""
    if not plan.address:
        raise PlanRefused(f"tier {plan.tier!r} has no address")
    if plan.address == LOCAL:
        return  # there is nothing to dial
    if not any(fnmatchcase(plan.address, pattern) for pattern in allowed):
        raise PlanRefused(f"address {plan.address!r} of tier {plan.tier!r} is not allowed here")


def _check_path(plan: Plan, above: tuple[Plan, ...]) -> None:
    if len(above) >= MAX_DEPTH:
        raise PlanRefused(f"the plan is deeper than {MAX_DEPTH} tiers")
    if not plan.tier:
        raise PlanRefused("a tier without a name")
    for parent in above:
        if parent.tier == plan.tier:
            raise PlanRefused(f"tier {plan.tier!r} stands twice on one path")
        if plan.address and parent.address == plan.address:
            raise PlanRefused(f"address {plan.address!r} stands twice on one path")
    _check_local(plan, above)
    places = [(drafter.tier, drafter.address) for drafter in plan.drafters if drafter.address]
    if len(set(places)) < len(places):
        raise PlanRefused(f"tier {plan.tier!r} has one drafter twice")
    for drafter in plan.drafters:
        _check_path(drafter, (*above, plan))


def _check_local(plan: Plan, above: tuple[Plan, ...]) -> None:
    if plan.address == LOCAL and not above:
        raise PlanRefused(f"tier {plan.tier!r} is {LOCAL}: it has no model and cannot answer")
    if plan.address == LOCAL and plan.drafters:
        raise PlanRefused(f"tier {plan.tier!r} is {LOCAL}: it has no model, nothing drafts for it")
    if sum(drafter.address == LOCAL for drafter in plan.drafters) > 1:
        raise PlanRefused(f"tier {plan.tier!r} has two {LOCAL} drafters: they would be the same")
