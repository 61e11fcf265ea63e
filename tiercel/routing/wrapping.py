"""Policies around policies: exploration with exact odds, and staying with a conversation's plan."""

from tiercel.routing import ranking
from tiercel.routing.policy import Forecast, Odds, Policy, Situation
from tiercel.routing.qualities import meets, weight_of


class Exploring:
    """Takes any plan, all with equal odds, in a share of requests; the inner policy in the rest.

    A target that the caller asked for binds exploration too.
    """

    def __init__(self, policy: Policy, share: float) -> None:
        self._policy = policy
        self._share = share

    def weigh(self, situation: Situation) -> Odds:
        """Return the inner odds, mixed with equal ones; where there was no choice, the inner."""
        odds = self._policy.weigh(situation)
        names = _explorable(situation)
        if not self._share or odds.forced or len(names) < 2:
            return odds
        kept = {name: (1.0 - self._share) * one for name, one in odds.probabilities.items()}
        each = self._share / len(names)
        mixed = kept | {name: kept.get(name, 0.0) + each for name in names}
        reason = f"{odds.reason}; {self._share:g} of requests explore {len(names)} plans"
        return Odds(mixed, reason, odds.forced, odds.insufficient_evidence)


class Sticky:
    """Stays with the plan that answered the conversation last unless another is clearly better.

    A plan takes over if its utility is higher by `margin` and `switch_cost` together, both in units
    of quality: the cost is that of reading the conversation anew. Plans that give the same answer
    share their root, so that nothing is read anew between them.
    """

    def __init__(
        self, policy: Policy, *, margin: float, switch_cost: float, cost_weight: float = 0.0
    ) -> None:
        self._policy = policy
        self._needed = margin + switch_cost
        self._cost_weight = cost_weight

    def weigh(self, situation: Situation) -> Odds:
        """Return the inner odds, those of plans that gain too little given to the incumbent."""
        odds = self._policy.weigh(situation)
        incumbent = situation.forecast(situation.incumbent)
        if incumbent is None or odds.forced or not _may_stay(incumbent, situation):
            return odds
        weight = weight_of(situation, self._cost_weight)
        gains = {
            name: _gain(situation.forecast(name), incumbent, weight) for name in odds.probabilities
        }
        weak = {name: gain for name, gain in gains.items() if gain < self._needed}
        moved = sum(odds.probabilities[name] for name in weak)
        if not moved:
            return odds
        left = {name: one for name, one in odds.probabilities.items() if name not in weak}
        left[incumbent.plan_name] = left.get(incumbent.plan_name, 0.0) + moved
        challenger = max(weak, key=lambda name: odds.probabilities[name])
        reason = (
            f"stays with {incumbent.plan_name}: {challenger} gains {weak[challenger]:.3f},"
            f" a switch needs {self._needed:g}"
        )
        return Odds(left, reason, odds.forced, odds.insufficient_evidence)


def _explorable(situation: Situation) -> list[str]:
    target = situation.wishes.target_quality
    return [one.plan_name for one in situation.forecasts if target is None or meets(one, target)]


def _may_stay(incumbent: Forecast, situation: Situation) -> bool:
    target = situation.wishes.target_quality
    return target is None or meets(incumbent, target)


def _gain(other: Forecast | None, incumbent: Forecast, weight: float) -> float:
    """Return by how much another plan is better; a plan of the same answer always may take over."""
    if other is None or other.arm == incumbent.arm:
        return float("inf")
    values = ranking.utility(other, weight), ranking.utility(incumbent, weight)
    if values[0] is None or values[1] is None:
        return 0.0  # nothing says that it is better
    return values[0] - values[1]
