"""The strictness of a lossy rule where that was left open: what audits certified, or else EXACT."""

from collections.abc import Mapping
from dataclasses import replace

from services.router.learning.learned import Advice
from tiercel.plan_text import Outline
from tiercel.rules import bears_constraints
from tiercel.sessions import Objective
from tiercel.strictness.certification import Standard
from tiercel.types import Acceptance, Constraint, Plan, Rule

# Plans are also read by people, and feedback tells strictnesses apart from 5e-4 on.
_DIGITS = 4
_FIRST_LEVEL = Standard().levels[0]


def left_open(
    objective: Objective, plans: Mapping[str, Outline], plan_name: str
) -> Acceptance | None:
    """Return the rule of a request's answer if its strictness is to be learned, else None.

    The caller's rule comes before that of the plan, which the caller spelled out or which has a
    name in `plans`.
    """
    asked = objective.acceptance
    if asked is None:
        outline = objective.outline or plans.get(plan_name)
        asked = outline.acceptance if outline is not None else None
    return asked if asked is not None and asked.learned else None


def with_floor(objective: Objective, least: float) -> Objective:
    """Return the objective; no strictness that the caller leaves open may fall below `least`."""
    outline = objective.outline
    if outline is not None and outline.acceptance is not None:
        outline = replace(outline, acceptance=_raised(outline.acceptance, least))
    asked = objective.acceptance
    return replace(
        objective, outline=outline, acceptance=None if asked is None else _raised(asked, least)
    )


def settled(plan: Plan, acceptance: Acceptance | None, advice: Advice, kind: str) -> Plan:
    """Return the plan under the caller's rule, if there is one, its strictness a number."""
    asked = plan.acceptance if acceptance is None else acceptance
    return replace(plan, acceptance=_number(asked, advice, kind))


def is_barred(asked: Acceptance, constraint: Constraint | None) -> bool:
    """Return whether a rule cannot hold an answer to its constraint, whatever its strictness."""
    return constraint is not None and not bears_constraints(asked)


def bound(plan: Plan, asked: Acceptance | None, constraint: Constraint | None) -> Plan:
    """Return the plan, under EXACT where the rule that was left open is barred."""
    if asked is None or not is_barred(asked, constraint):
        return plan
    return replace(plan, acceptance=Acceptance())


def next_level(rule: Rule, advice: Advice, kind: str) -> float | None:
    """Return the strictness that audits are to try next for the kind, None where they need not.

    Feedback tries nothing of a rule that it never heard of: the first audit tells it.
    """
    if not advice.policy.epoch:
        return None
    known = advice.strictness(rule, kind)
    if known is None:
        return _FIRST_LEVEL
    has_ended = known.certified or known.strictness >= 1.0
    return None if has_ended else known.strictness


def explained(asked: Acceptance, in_force: Acceptance, constraint: Constraint | None) -> str:
    """Return what became of a strictness that was left open."""
    if is_barred(asked, constraint):
        return f"exact, as {asked.rule.value} holds no answer to a constraint"
    if in_force.rule is Rule.EXACT:
        return f"exact, as no strictness of {asked.rule.value} is certified"
    why = "as learned"
    if in_force.strictness == asked.strictness:
        why = "the least that is allowed"
    return f"{in_force.rule.value} at strictness {in_force.strictness:g}, {why}"


def _number(asked: Acceptance, advice: Advice, kind: str) -> Acceptance:
    if not asked.learned:
        return asked
    known = advice.strictness(asked.rule, kind)
    if known is None or not known.certified:
        return Acceptance()
    strictness = max(asked.strictness, round(known.strictness, _DIGITS))
    return replace(asked, strictness=strictness, learned=False)


def _raised(asked: Acceptance, least: float) -> Acceptance:
    if not asked.learned or asked.strictness >= least:
        return asked
    return replace(asked, strictness=least)
