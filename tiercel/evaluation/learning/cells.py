"""What ratings and answers say of plans, summed up as feedback does, on a clock of requests.

What came `half_life` requests ago weighs half.
"""

from dataclasses import dataclass

from tiercel.evaluation.learning.learner import Answer, Problem
from tiercel.learning import RootQuality
from tiercel.routing.policy import Forecast
from tiercel.routing.rated import expected

_ALL_KINDS = ""
# Answers that what a plan was foreseen to cost counts for.
_PRIOR_ANSWERS = 5.0


@dataclass
class _Faded:
    """A number of things and a sum over them."""

    number: float = 0.0
    total: float = 0.0
    at: int = 0

    def add(self, number: float, value: float, at: int, half_life: float) -> None:
        kept = 0.5 ** ((at - self.at) / half_life)
        self.number, self.total = kept * self.number + number, kept * self.total + value
        self.at = at

    def seen(self, at: int, half_life: float) -> tuple[float, float]:
        kept = 0.5 ** ((at - self.at) / half_life)
        return kept * self.number, kept * self.total


class Cells:
    """Ratings of each plan, of all kinds and of each, and costs of each plan."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        kinds = (_ALL_KINDS, *problem.priors)
        self._ratings = {(plan, kind): _Faded() for plan in problem.plans for kind in kinds}
        self._costs = {plan: _Faded() for plan in problem.plans}

    def rated(self, answer: Answer, score: float, at: int) -> None:
        """Count by how much a score is higher than was predicted, at the time that it comes."""
        forecast = answer.situation.forecast(answer.plan)
        assert forecast is not None and forecast.quality is not None
        for kind in (_ALL_KINDS, answer.situation.kind):
            cell = self._ratings[answer.plan, kind]
            cell.add(1.0, score - forecast.quality, at, self._problem.half_life)

    def spent(self, answer: Answer) -> None:
        """Count what an answer cost beside what was foreseen."""
        foreseen = self._problem.priors[answer.situation.kind][answer.plan].cost
        cell = self._costs[answer.plan]
        cell.add(foreseen, answer.cost, answer.at, self._problem.half_life)

    def ratings(self, plan: str, kind: str, at: int) -> list[RootQuality]:
        """Return what routers are told of a plan's ratings, those of all kinds first."""
        found = []
        for each in (_ALL_KINDS, kind):
            number, excess = self._ratings[plan, each].seen(at, self._problem.half_life)
            if number > 0:
                mean = max(-1.0, min(1.0, excess / number))
                found.append(
                    RootQuality(
                        plan, each, 0.0, 0.0, 0.0, number, num_predicted=number, excess=mean
                    )
                )
        return found

    def ratio(self, plan: str, at: int) -> float:
        """Return how much more a plan costs than was foreseen, drawn to 1."""
        foreseen, real = self._costs[plan].seen(at, self._problem.half_life)
        kinds = self._problem.priors.values()
        prior = _PRIOR_ANSWERS * sum(plans[plan].cost for plans in kinds) / len(kinds)
        whole = prior + foreseen
        return (prior + real) / whole if whole else 1.0


@dataclass(frozen=True)
class Told:
    """What a router has of one plan and kind until the next snapshot."""

    ratings: list[RootQuality]
    ratio: float

    def forecast(self, one: Forecast) -> Forecast:
        """Return a forecast with what was learned, by the product's own formula."""
        found = expected(one.quality, None, self.ratings)
        seconds = None if one.seconds is None else self.ratio * one.seconds
        return Forecast(
            one.plan_name, seconds, quality=found.quality, num_ratings=found.num_ratings
        )
