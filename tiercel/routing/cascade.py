"""Where a cascade begins: at the plan that is worth most, its right to be overruled included.

What happens in the middle of an answer is decided elsewhere, by evidence; here is only the start.
"""

from dataclasses import dataclass
from typing import Protocol

from tiercel.routing import ranking
from tiercel.routing.policy import Forecast, Odds, Situation
from tiercel.routing.qualities import Utility, weight_of


class Ahead(Protocol):
    """What a start is worth with all that may follow; a fitted stopping rule can say it."""

    @property
    def name(self) -> str:
        """What it goes by, in words."""
        ...

    def value(self, situation: Situation, start: Forecast, cost_weight: float) -> float | None:
        """Return the expected quality less priced seconds; None where nothing is known."""
        ...


class Foresight:
    """A rule of thumb for what follows: a share of failures is seen, at a share of the seconds.

    A start of quality q_i and seconds s_i that may go over to j gains
    caught * ((q_j - q_i) - cost_weight * (1 - q_i) * (s_j - (1 - spent) * s_i)),
    as whatever i answers well is taken to be answered well by j, so that j is right in
    (q_j - q_i) / (1 - q_i) of what i gets wrong.
    """

    name = "a rule of thumb"

    def __init__(self, caught: float = 0.5, spent: float = 0.25) -> None:
        """Take the share of failures that evidence finds, and the share of seconds until then."""
        self._caught, self._spent = caught, spent

    def value(self, situation: Situation, start: Forecast, cost_weight: float) -> float | None:
        """Return the utility of the start and the gain from the best plan to go over to."""
        own = ranking.utility(start, cost_weight)
        if own is None:
            return None
        gains = (self._gain(start, one, cost_weight) for one in situation.forecasts)
        return own + max(0.0, *gains)

    def _gain(self, start: Forecast, other: Forecast, cost_weight: float) -> float:
        if start.quality is None or other.quality is None or other.arm == start.arm:
            return 0.0
        saved_s = (1.0 - self._spent) * (start.seconds or 0.0)
        extra_s = (1.0 - start.quality) * ((other.seconds or 0.0) - saved_s)
        return self._caught * (other.quality - start.quality - cost_weight * extra_s)


class Cascade:
    """Starts where utility and the chance of going over are worth most.

    Where no larger tier may take over, it is `utility`.
    """

    def __init__(self, cost_weight: float = 0.0, ahead: Ahead | None = None) -> None:
        """Where nothing is known `ahead`, a rule of thumb says what may follow."""
        self._cost_weight = cost_weight
        self._foresight = Foresight()
        self._ahead = ahead or self._foresight
        self._utility = Utility(cost_weight)

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds of the best start; the soonest of equals."""
        if not situation.may_escalate:
            return self._utility.weigh(situation)
        weight = weight_of(situation, self._cost_weight)
        starts = (self._start(situation, one, weight) for one in situation.forecasts)
        worth = {start.forecast.plan_name: start for start in starts if start is not None}
        if not worth:
            return ranking.without_quality(situation)
        most = max(start.worth for start in worth.values())
        equals = [start.forecast for start in worth.values() if start.worth == most]
        found = worth[ranking.soonest(equals).plan_name]
        return Odds.certain(found.forecast.plan_name, found.words(weight, len(worth)))

    def _start(self, situation: Situation, forecast: Forecast, weight: float) -> "_Start | None":
        for ahead in (self._ahead, self._foresight):
            worth = ahead.value(situation, forecast, weight)
            if worth is not None:
                return _Start(forecast, worth, ahead.name)
        return None


@dataclass(frozen=True)
class _Start:
    """A plan to begin with, what it is worth, and who says so."""

    forecast: Forecast
    worth: float
    source: str

    def words(self, weight: float, number: int) -> str:
        own = ranking.utility(self.forecast, weight)
        alone = "" if own is None else f", {own:.3f} of it if nothing takes over"
        said = f"worth {self.worth:.3f} at {weight:g} a second by {self.source}"
        return f"the best start of {number}: {said}{alone}"
