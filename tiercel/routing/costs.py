"""Policies that look at no quality: one plan always, any plan, the least cost, the least time."""

from tiercel.routing import ranking
from tiercel.routing.policy import Odds, Situation


class Static:
    """Always the same plan: the fallback, or the one that is named here."""

    def __init__(self, plan_name: str = "") -> None:
        self._plan_name = plan_name

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of that plan; if it may not be picked, those of the fallback."""
        name = self._plan_name or situation.fallback
        if situation.forecast(name) is None:
            return ranking.fall_back(situation, f"plan {name!r} may not be picked")
        return Odds.certain(name, "the configured default plan, 1 of 1")


class Random:
    """Every plan equally often: what exploration alone would give."""

    def weigh(self, situation: Situation) -> Odds:
        """Return equal odds."""
        names = [one.plan_name for one in situation.forecasts]
        share = 1.0 / len(names)
        reason = f"any of {len(names)} plans, with probability {share:.3f} each"
        return Odds(dict.fromkeys(names, share), reason)


class Cheapest:
    """The least predicted cost, in the unit of the tiers' prices."""

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the cheapest plan, the soonest of equals."""
        known = [one for one in situation.forecasts if one.cost is not None]
        if not known:
            return ranking.fall_back(situation, "no cost is predicted of any plan")
        found = ranking.cheapest(known)
        reason = f"the cheapest of {len(known)} plans: cost {found.cost:.3g} predicted"
        return Odds.certain(found.plan_name, reason)


class CostOnly:
    """The least predicted seconds, whatever the answer is worth."""

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the soonest plan."""
        known = [one for one in situation.forecasts if one.seconds is not None]
        if not known:
            return ranking.fall_back(situation, "no seconds are predicted of any plan")
        found = ranking.soonest(known)
        reason = f"the soonest of {len(known)} plans: {found.seconds:.3g} s predicted"
        return Odds.certain(found.plan_name, reason)


class Fastest:
    """The least predicted seconds among the plans whose answer is the fallback's, bit for bit."""

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the soonest of them."""
        fallback = situation.forecast(situation.fallback)
        arm = fallback.arm if fallback else ""
        alike = [one for one in situation.forecasts if one.arm == arm and one.seconds is not None]
        if not alike:
            return ranking.fall_back(situation, "no seconds are predicted of plans of this answer")
        found = ranking.soonest(alike)
        reason = (
            f"the soonest of {len(alike)} plans with the answer of {situation.fallback}:"
            f" {found.seconds:.3g} s predicted"
        )
        return Odds.certain(found.plan_name, reason)
