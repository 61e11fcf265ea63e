"""What rules a plan out before any policy sees it.

There is no clamp on a caller's share of dear plans: requests carry no identity to count by.
"""

from collections.abc import Sequence

from services.router.fleet import Fleet
from tiercel.routing.policy import Forecast, Wishes
from tiercel.routing.ranking import over_budget


class Guardrails:
    """Looks at the replicas of a plan's root, and at what the caller allows."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def refusal(
        self, forecast: Forecast, root: str, *, num_prompt_tokens: float, wishes: Wishes
    ) -> str:
        """Return why the plan may not be picked; empty if it may."""
        ready = self._fleet.ready(root)
        if not ready:
            return f"no replica of {root} takes work"
        lengths = [one.description.max_length for one in ready if one.description is not None]
        longest = max(lengths, default=0)
        if 0 < longest <= num_prompt_tokens:
            return f"a prompt of about {num_prompt_tokens:.0f} tokens, {root} takes {longest}"
        return over_budget(forecast, wishes)


def may_be_picked(
    forecasts: Sequence[Forecast], refused: dict[str, str], wishes: Wishes
) -> tuple[tuple[Forecast, ...], str]:
    """Return the plans for the policy; if all are ruled out, the least bad, and why.

    What is over its budget is less bad than what cannot answer.
    """
    free = tuple(one for one in forecasts if not refused.get(one.plan_name))
    if free:
        return free, ""
    able = tuple(one for one in forecasts if refused[one.plan_name] == over_budget(one, wishes))
    if able:
        return able, f"none of {len(able)} plans is predicted to keep the budget"
    return tuple(forecasts), "no plan passes the guardrails"
