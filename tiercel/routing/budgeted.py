"""A policy under a budget: cost is weighed where nobody says what a second is worth."""

from dataclasses import replace

from tiercel.routing.policy import Odds, Policy, Situation


class Budgeted:
    """Has the inner policy weigh cost in place of seconds, by the weight that keeps the budget.

    Without a budget or any pressure of it, or where the caller or the operator says what a second
    is worth, it is the inner policy. The best policy within a mean cost is the best of quality -
    weight * cost, whereas seconds would not do: a dear tier may well be the quickest.
    """

    def __init__(self, policy: Policy, cost_weight: float = 0.0) -> None:
        """Take the operator's weight of a second, 0 for none."""
        self._policy, self._cost_weight = policy, cost_weight

    def weigh(self, situation: Situation) -> Odds:
        """Return the inner odds."""
        said = self._cost_weight or situation.wishes.cost_weight is not None
        if not situation.budget_weight or said:
            return self._policy.weigh(situation)
        wishes = replace(situation.wishes, cost_weight=situation.budget_weight)
        forecasts = tuple(replace(one, seconds=one.cost) for one in situation.forecasts)
        odds = self._policy.weigh(replace(situation, forecasts=forecasts, wishes=wishes))
        return replace(odds, reason=f"cost for seconds, to keep the budget: {odds.reason}")
