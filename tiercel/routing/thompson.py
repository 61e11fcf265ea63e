"""Thompson sampling without a draw: every answer gets the odds with which it would be the best."""

from collections.abc import Iterable

from tiercel.routing import ranking
from tiercel.routing.beliefs import PRIOR_RATINGS, Belief, odds_of_best
from tiercel.routing.policy import Forecast, Odds, Situation
from tiercel.routing.qualities import weight_of

# Of a quality about which nothing is known: any is as likely as any other.
_FLAT = Belief(0.5, 2.0)


class Thompson:
    """Each answer as often as it has the most of quality - cost_weight * seconds.

    Qualities are independent Beta distributions, each as sure as there are ratings behind it; so
    what is little known is tried, and the less so the better it is known (Thompson 1933; Agrawal
    and Goyal, arXiv:1209.3353). Plans of one answer share its belief; the soonest takes its odds.
    """

    def __init__(self, cost_weight: float = 0.0) -> None:
        self._cost_weight = cost_weight

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds; those of the fallback if no quality is known at all."""
        weight = weight_of(situation, self._cost_weight)
        if all(one.quality is None for one in situation.forecasts):
            return ranking.without_quality(situation)
        plans = _soonest_of_arms(
            one for one in situation.forecasts if not (weight and one.seconds is None)
        )
        if not plans:
            why = f"no seconds are predicted of any of {len(situation.forecasts)} plans"
            return ranking.fall_back(situation, why, insufficient_evidence=True)
        beliefs = [belief_of(one) for one in plans]
        prices = [weight * (one.seconds or 0.0) for one in plans]
        odds = odds_of_best(beliefs, prices).tolist()
        probabilities = dict(zip((one.plan_name for one in plans), odds, strict=True))
        best = max(range(len(plans)), key=odds.__getitem__)
        reason = (
            f"the likeliest best of {len(plans)} answers, {plans[best].plan_name},"
            f" is it with probability {odds[best]:.3f}: quality {beliefs[best].mean:.3f}"
            f" of {beliefs[best].weight:.3g} ratings' weight, less {prices[best]:.3g}"
        )
        return Odds(probabilities, reason)


def belief_of(forecast: Forecast) -> Belief:
    """Return what is believed of a plan's quality."""
    if forecast.quality is None:
        return _FLAT
    known = forecast.num_ratings
    return Belief(forecast.quality, PRIOR_RATINGS if known is None else known)


def _soonest_of_arms(forecasts: Iterable[Forecast]) -> list[Forecast]:
    arms: dict[str, list[Forecast]] = {}
    for one in forecasts:
        arms.setdefault(one.arm, []).append(one)
    return [ranking.soonest(plans) for plans in arms.values()]
