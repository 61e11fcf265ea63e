"""Orders of forecasts that several policies share, and what they say when too little is known."""

import math
from collections.abc import Sequence

from tiercel.routing.policy import Forecast, Odds, Situation, Wishes


def soonest(forecasts: Sequence[Forecast]) -> Forecast:
    """Return the one of least predicted seconds; unknown ones come last, the first of equals."""
    return min(forecasts, key=lambda one: math.inf if one.seconds is None else one.seconds)


def cheapest(forecasts: Sequence[Forecast]) -> Forecast:
    """Return the one of least predicted cost, the soonest of equals; unknown ones come last."""
    least = min(_cost(one) for one in forecasts)
    return soonest([one for one in forecasts if _cost(one) == least])


def best(forecasts: Sequence[Forecast]) -> Forecast:
    """Return the one of highest quality, the soonest of equals; at least one has a quality."""
    most = max(one.quality for one in forecasts if one.quality is not None)
    return soonest([one for one in forecasts if one.quality == most])


def utility(forecast: Forecast, cost_weight: float) -> float | None:
    """Return quality - cost_weight * seconds, in units of quality; None where one is unknown."""
    if forecast.quality is None or (cost_weight and forecast.seconds is None):
        return None
    return forecast.quality - cost_weight * (forecast.seconds or 0.0)


def over_budget(forecast: Forecast, wishes: Wishes) -> str:
    """Return why the plan is not within what the caller allows; empty if it is."""
    asked = (
        ("s", forecast.seconds, wishes.max_seconds),
        ("cost", forecast.cost, wishes.max_cost),
    )
    for unit, value, limit in asked:
        if limit is None:
            continue
        if value is None:
            return f"over budget for all that is known: no {unit} predicted, at most {limit:g}"
        if value > limit:
            return f"over budget: {value:.3g} {unit} predicted, at most {limit:g}"
    return ""


def fall_back(situation: Situation, why: str, *, insufficient_evidence: bool = False) -> Odds:
    """Return the odds of taking the fallback because there was nothing to choose by."""
    return Odds.certain(
        situation.fallback,
        f"{why}; {situation.fallback} is the fallback",
        forced=why,
        insufficient_evidence=insufficient_evidence,
    )


def without_quality(situation: Situation) -> Odds:
    """Return the fallback's odds, where a policy needs qualities and there are none."""
    why = f"no quality is predicted of any of {len(situation.forecasts)} plans"
    return fall_back(situation, why, insufficient_evidence=True)


def _cost(forecast: Forecast) -> float:
    return math.inf if forecast.cost is None else forecast.cost
