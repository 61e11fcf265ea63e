"""What rules a plan out before any policy sees it.

There is no clamp on a caller's share of dear plans: requests carry no identity to count by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from services.router.fleet import Fleet
from tiercel.routing.policy import Forecast, Wishes
from tiercel.routing.ranking import over_budget


class Fault(IntEnum):
    """What is wrong with a plan, the worse the higher."""

    NONE = 0
    BUDGET = 1
    CONTEXT = 2
    AWAY = 3


_FORCED = {
    Fault.NONE: "",
    Fault.BUDGET: "none of the plans that can answer is predicted to keep the budget",
    Fault.CONTEXT: "no plan takes a prompt as long as this",
    Fault.AWAY: "no plan has a root that takes work",
}


@dataclass(frozen=True)
class Refusal:
    """Whether a plan may be picked, and in words why not."""

    fault: Fault = Fault.NONE
    why: str = ""


class Guardrails:
    """Looks at the replicas of a plan's root, and at what the caller allows."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def refusal(
        self, forecast: Forecast, root: str, *, num_prompt_tokens: float, wishes: Wishes
    ) -> Refusal:
        """Return the worst that is to be said against the plan."""
        ready = self._fleet.ready(root)
        if not ready:
            return Refusal(Fault.AWAY, f"no replica of {root} takes work")
        lengths = [one.description.max_length for one in ready if one.description is not None]
        longest = max(lengths, default=0)
        if 0 < longest <= num_prompt_tokens:
            why = f"a prompt of about {num_prompt_tokens:.0f} tokens, {root} takes {longest}"
            return Refusal(Fault.CONTEXT, why)
        why = over_budget(forecast, wishes)
        return Refusal(Fault.BUDGET, why) if why else Refusal()


def may_be_picked(
    forecasts: Sequence[Forecast], refused: Mapping[str, Refusal]
) -> tuple[tuple[Forecast, ...], str]:
    """Return the plans for the policy; if all are ruled out, the least bad, and why there is none.

    A plan over budget answers; one whose context is too short says so; one that is away may return.
    """
    least = min(refused[one.plan_name].fault for one in forecasts)
    left = tuple(one for one in forecasts if refused[one.plan_name].fault is least)
    return left, _FORCED[least]
