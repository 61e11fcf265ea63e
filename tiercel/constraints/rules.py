"""Which acceptance rules can hold an answer to a constraint."""

from tiercel.decoding import in_force
from tiercel.errors import PlanRefused
from tiercel.rules import bears_constraints
from tiercel.types import Acceptance, Constraint


def check_rule(acceptance: Acceptance, constraint: Constraint | None) -> None:
    """Raise PlanRefused for a root's rule that may let an answer break its constraint."""
    if constraint is not None and not bears_constraints(acceptance):
        rule = in_force(acceptance)
        raise PlanRefused(f"under {rule.name} an answer cannot be held to a constraint")
