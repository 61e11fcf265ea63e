"""Which policy a caller's wishes ask for, where none is named."""

from tiercel.routing.policy import Wishes

# Policies that weigh seconds by the caller's word.
WEIGHING = ("utility", "cascade", "thompson", "knn")


def implied_policy(wishes: Wishes, default: str) -> str:
    """Return the policy that does what the caller wishes, where none is named."""
    if wishes.target_quality is not None:
        return "target"
    if wishes.cost_weight is not None and default not in WEIGHING:
        return "utility"
    if default == "static" and (wishes.max_seconds, wishes.max_cost) != (None, None):
        return "budget"
    return default
