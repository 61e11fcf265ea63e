"""Which acceptance rules can hold an answer to a constraint."""

from tiercel.decoding import in_force
from tiercel.errors import PlanRefused
from tiercel.types import Acceptance, Constraint, Rule

# Under these no token stands to which the target gives no probability. The others may take a draft
# token on the drafter's word, and masking the target's logits is no help then.
_JUDGED_BY_TARGET = {
    Rule.EXACT,
    Rule.REJECTION,
    Rule.BLOCK,
    Rule.LENIENT,
    Rule.TYPICAL,
    Rule.RELAXED,
}


def check_rule(acceptance: Acceptance, constraint: Constraint | None) -> None:
    """Raise PlanRefused for a root's rule that may let an answer break its constraint."""
    rule = in_force(acceptance)
    if constraint is not None and rule not in _JUDGED_BY_TARGET:
        raise PlanRefused(f"under {rule.name} an answer cannot be held to a constraint")
