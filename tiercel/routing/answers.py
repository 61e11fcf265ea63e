"""Which plans give the same answer: its quality is its root's, unless a lossy rule has a say."""

from tiercel.decoding import in_force
from tiercel.plan_text import Outline
from tiercel.rules import is_lossy
from tiercel.types import Plan


def answer_of(plan: Plan) -> str:
    """Return the name of the plan's answer; plans that share it differ in speed alone.

    Under EXACT, REJECTION and BLOCK the answer is the root's, or of its distribution. A lossy rule
    makes it one of the root and of all that drafts for it, whatever the block lengths.
    """
    if not is_lossy(in_force(plan.acceptance)):
        return plan.tier
    return str(_told(plan))


def rated_as(plan: Plan) -> str:
    """Return what ratings of the plan's answers are kept under: its root, and a lossy rule of it.

    Of a rule all strictnesses together, as it is led from one to the next.
    """
    rule = in_force(plan.acceptance)
    return f"{plan.tier}{{{rule.value}}}" if is_lossy(rule) else plan.tier


def _told(plan: Plan) -> Outline:
    """Return what of a plan under a lossy rule its answer depends on."""
    if not is_lossy(in_force(plan.acceptance)):
        return Outline(plan.tier)
    below = tuple(_told(drafter) for drafter in plan.drafters)
    return Outline(plan.tier, drafters=below, acceptance=plan.acceptance)
