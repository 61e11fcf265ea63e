"""Policies that weigh predicted quality: against seconds, a target, or a budget."""

from collections.abc import Sequence

from tiercel.routing import ranking
from tiercel.routing.policy import Forecast, Odds, Situation


class Utility:
    """The most of quality - cost_weight * seconds, both in their own absolute units."""

    def __init__(self, cost_weight: float = 0.0) -> None:
        self._cost_weight = cost_weight

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the best plan; the soonest of equals."""
        weight = weight_of(situation, self._cost_weight)
        worth = {
            one.plan_name: value
            for one in situation.forecasts
            if (value := ranking.utility(one, weight)) is not None
        }
        if not worth:
            return ranking.without_quality(situation)
        most = max(worth.values())
        equals = [one for one in situation.forecasts if worth.get(one.plan_name) == most]
        found = ranking.soonest(equals)
        return Odds.certain(found.plan_name, _utility_reason(found, weight, worth))


class Target:
    """The cheapest plan whose lower bound of quality meets the target.

    The bound holds with confidence, so the promise does too, for each plan by itself.
    """

    def __init__(self, target_quality: float = 0.8) -> None:
        self._target_quality = target_quality

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of that plan, or of the fallback with `insufficient_evidence`."""
        asked = situation.wishes.target_quality
        target = self._target_quality if asked is None else asked
        bounded = [one for one in situation.forecasts if one.quality_bound is not None]
        sure = [one for one in bounded if meets(one, target)]
        if not sure:
            return ranking.fall_back(
                situation, _missed(bounded, target), insufficient_evidence=True
            )
        found = ranking.cheapest(sure)
        number = f"{len(sure)} of {len(situation.forecasts)} plans"
        reason = (
            f"the cheapest of {number} that are shown to reach {target:g}:"
            f" quality at least {found.quality_bound:.3f}"
        )
        return Odds.certain(found.plan_name, reason)


class Budget:
    """The best predicted quality among the plans within `max_seconds` and `max_cost`."""

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the best affordable plan; the soonest one if none is."""
        within = [
            one for one in situation.forecasts if not ranking.over_budget(one, situation.wishes)
        ]
        if not within:
            found = ranking.soonest(situation.forecasts)
            why = f"none of {len(situation.forecasts)} plans is predicted to keep the budget"
            return Odds.certain(found.plan_name, f"{why}; the soonest is taken", forced=why)
        graded = [one for one in within if one.quality is not None]
        if not graded:
            return _ungraded(situation, within)
        found = ranking.best(graded)
        number = f"{len(within)} of {len(situation.forecasts)} plans"
        reason = f"the best of {number} within the budget: quality {found.quality:.3f}"
        return Odds.certain(found.plan_name, reason)


def weight_of(situation: Situation, default: float) -> float:
    """Return the quality that a second is worth: the caller's word, or the policy's own."""
    asked = situation.wishes.cost_weight
    return default if asked is None else asked


def meets(forecast: Forecast, target: float) -> bool:
    """Return whether the plan is shown to reach the target."""
    return forecast.quality_bound is not None and forecast.quality_bound >= target


def _missed(bounded: Sequence[Forecast], target: float) -> str:
    if not bounded:
        return f"too little is known of any plan to show that it reaches {target:g}"
    nearest = max(bounded, key=lambda one: one.quality_bound or 0.0)
    return (
        f"no plan is shown to reach {target:g}: the nearest, {nearest.plan_name},"
        f" is at least {nearest.quality_bound:.3f}"
    )


def _ungraded(situation: Situation, within: Sequence[Forecast]) -> Odds:
    names = [one.plan_name for one in within]
    if situation.fallback in names:
        return ranking.without_quality(situation)
    found = ranking.soonest(within)
    why = f"no quality is predicted of any of {len(within)} plans within the budget"
    return Odds.certain(
        found.plan_name, f"{why}; the soonest is taken", forced=why, insufficient_evidence=True
    )


def _utility_reason(found: Forecast, weight: float, worth: dict[str, float]) -> str:
    value = worth[found.plan_name]
    seconds = 0.0 if found.seconds is None else found.seconds
    reason = f"quality {found.quality:.3f} - {weight:g} x {seconds:.3g} s = {value:.3f}"
    others = {name: other for name, other in worth.items() if name != found.plan_name}
    if not others:
        return f"the only plan with a quality: {reason}"
    second = max(others, key=lambda name: others[name])
    return f"the most utility: {reason}, before {others[second]:.3f} of {second}"
