"""What is believed of plans, by kind of request: scores from ratings, costs from answers.

The virtual clock counts requests: what came `half_life` requests ago weighs half.
"""

from dataclasses import dataclass

from tiercel.evaluation.learning.learner import Answer, Problem
from tiercel.routing.beliefs import PRIOR_RATINGS, Belief

# Answers that what a plan was foreseen to cost counts for.
_PRIOR_ANSWERS = 5.0


@dataclass
class _Rated:
    prior: Belief
    belief: Belief
    at: int = 0


@dataclass
class _Spent:
    """Sums of what answers cost, and of what they were foreseen to."""

    real: float
    foreseen: float
    at: int = 0


class CellBeliefs:
    """Faded beliefs of each kind and plan, which begin with what history says."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._rated = {
            (kind, plan): _fresh(prior.score)
            for kind, plans in problem.priors.items()
            for plan, prior in plans.items()
        }
        self._spent = {plan: _Spent(0.0, 0.0) for plan in problem.plans}

    def of(self, kind: str, at: int) -> tuple[dict[str, Belief], dict[str, float]]:
        """Return what is believed of each plan's score, and its priced cost."""
        beliefs = {plan: self._faded(self._rated[kind, plan], at) for plan in self._problem.plans}
        prices = {
            plan: self._problem.cost_weight * self._foreseen(kind, plan) * self._ratio(plan, at)
            for plan in self._problem.plans
        }
        return beliefs, prices

    def rated(self, answer: Answer, score: float, at: int) -> None:
        """Count a score, at the time that it comes."""
        cell = self._rated[answer.situation.kind, answer.plan]
        cell.belief, cell.at = self._faded(cell, at).rated(score), at

    def spent(self, answer: Answer) -> None:
        """Count what an answer cost, for all kinds of requests together."""
        cell = self._spent[answer.plan]
        kept = self._kept(answer.at - cell.at)
        foreseen = self._foreseen(answer.situation.kind, answer.plan)
        cell.real, cell.foreseen = kept * cell.real + answer.cost, kept * cell.foreseen + foreseen
        cell.at = answer.at

    def _ratio(self, plan: str, at: int) -> float:
        """Return how much more a plan costs than was foreseen, drawn to 1."""
        cell = self._spent[plan]
        kept = self._kept(at - cell.at)
        prior = (
            _PRIOR_ANSWERS
            * sum(plans[plan].cost for plans in self._problem.priors.values())
            / len(self._problem.priors)
        )
        whole = prior + kept * cell.foreseen
        return (prior + kept * cell.real) / whole if whole else 1.0

    def _foreseen(self, kind: str, plan: str) -> float:
        return self._problem.priors[kind][plan].cost

    def _faded(self, cell: _Rated, at: int) -> Belief:
        return cell.belief.faded(self._kept(at - cell.at), cell.prior)

    def _kept(self, age: int) -> float:
        return float(0.5 ** (age / self._problem.half_life))


def _fresh(score: float) -> _Rated:
    prior = Belief(score, PRIOR_RATINGS)
    return _Rated(prior, prior)
