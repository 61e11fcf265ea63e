"""What ratings and answers say of plans, summed up as feedback does, on a clock of requests.

What came `half_life` requests ago weighs half; what came before a mean moved is dropped.
"""

from dataclasses import dataclass

from tiercel.evaluation.learning.learner import Answer, Clock, Problem
from tiercel.evaluation.learning.restarts import LEAST_TOLERANCE, Faded, Watch, tolerance_of
from tiercel.learning import RootQuality
from tiercel.routing.policy import Forecast
from tiercel.routing.rated import expected

_ALL_KINDS = ""
# Ratings that the mean over all kinds counts for in that of one.
_PRIOR_RATINGS = 4.0
# Answers that what a plan was foreseen to cost counts for.
_PRIOR_ANSWERS = 5.0


class Cells:
    """Ratings of each plan, of all kinds and of each, and costs of each plan."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        kinds = (_ALL_KINDS, *problem.priors)
        places = [(plan, kind) for plan in problem.plans for kind in kinds]
        self._ratings = {place: Faded() for place in places}
        self._watched = {place: Watch(problem.run_length) for place in places}
        self._costs = {plan: Faded() for plan in problem.plans}
        self._watched_costs = {plan: Watch(problem.run_length) for plan in problem.plans}

    def rated(self, answer: Answer, score: float, at: int) -> None:
        """Count by how much a score is higher than was predicted, at the time that it comes."""
        forecast = answer.situation.forecast(answer.plan)
        assert forecast is not None and forecast.quality is not None
        plan, kind, clock = answer.plan, answer.situation.kind, self._clock(at)
        above = score - forecast.quality
        number, _ = self._ratings[plan, _ALL_KINDS].seen(clock)
        likely = min(1.0, max(0.0, forecast.quality + self._excess(plan, kind, clock)))
        for each in (_ALL_KINDS, kind):
            self._ratings[plan, each].add(1.0, above, clock)
        if not number:
            return
        for each in (_ALL_KINDS, kind):
            watch, told = self._watched[plan, each], (1.0, above)
            since = watch.see(score - likely, tolerance_of(number), told, clock)
            if since is not None:
                self._restart(plan, each, since, clock)
                break

    def spent(self, answer: Answer) -> None:
        """Count what an answer cost beside what was foreseen."""
        plan, clock = answer.plan, self._clock(answer.at)
        foreseen = self._problem.foreseen(plan, answer.situation.kind, answer.at)
        residual = min(1.0, answer.cost / (self.ratio(plan, answer.at) * foreseen) - 1)
        told = (foreseen, answer.cost)
        self._costs[plan].add(*told, clock)
        since = self._watched_costs[plan].see(residual, LEAST_TOLERANCE, told, clock)
        if since is not None:
            self._costs[plan] = since

    def ratings(self, plan: str, kind: str, at: int) -> list[RootQuality]:
        """Return what routers are told of a plan's ratings, those of all kinds first."""
        found = []
        for each in (_ALL_KINDS, kind):
            number, excess = self._ratings[plan, each].seen(self._clock(at))
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
        foreseen, real = self._costs[plan].seen(self._clock(at))
        kinds = self._problem.priors
        each = [self._problem.foreseen(plan, kind, at) for kind in kinds]
        prior = _PRIOR_ANSWERS * sum(each) / len(each)
        whole = prior + foreseen
        return (prior + real) / whole if whole else 1.0

    def _excess(self, plan: str, kind: str, clock: Clock) -> float:
        """Return by how much scores were higher than predicted, drawn to that of all kinds."""
        number, total = self._ratings[plan, _ALL_KINDS].seen(clock)
        of_kind, total_of_kind = self._ratings[plan, kind].seen(clock)
        if not number:
            return 0.0
        return (_PRIOR_RATINGS * total / number + total_of_kind) / (_PRIOR_RATINGS + of_kind)

    def _restart(self, plan: str, kind: str, since: Faded, clock: Clock) -> None:
        """Drop what came before the mean moved, wherever it counts."""
        run_length = self._problem.run_length
        whole, before = self._ratings[plan, _ALL_KINDS], self._ratings[plan, kind]
        self._ratings[plan, kind] = since
        if kind != _ALL_KINDS:
            (now, above), (then, above_then) = since.seen(clock), before.seen(clock)
            whole.add(now - then, above - above_then, clock)
            self._watched[plan, _ALL_KINDS] = Watch(run_length)
            return
        for each in self._problem.priors:
            self._ratings[plan, each] = Faded()
            self._watched[plan, each] = Watch(run_length)

    def _clock(self, at: int) -> Clock:
        return Clock(at, self._problem.half_life)


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
