"""The learners that are compared: what the product decides by, and what it has to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from tiercel.evaluation.learning.cells import Cells, Told
from tiercel.evaluation.learning.learner import FOREVER, Answer, Factory, Learner, Problem
from tiercel.routing.costs import Random, Static
from tiercel.routing.linucb import LinUcb, LinUcbLearner
from tiercel.routing.policy import Forecast, Odds, Policy, Situation
from tiercel.routing.qualities import Utility
from tiercel.routing.reduction import Reduction
from tiercel.routing.thompson import Thompson
from tiercel.routing.wrapping import Exploring

THOMPSON, NEVER_FORGETS, GREEDY = "thompson", "thompson, never forgets", "epsilon-greedy"
METALLM, RATED, UTILITY = "metallm", "utility, rated", "utility, fixed"
STATIC, RANDOM = "static, fixed", "random"
EPSILON = 0.05
EXPLORED = 0.02  # of what is the router's own policy otherwise


class Unlearned:
    """A policy that is what it was made: nothing is learned."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def weigh(self, situation: Situation, at: int) -> Odds:
        """Return the policy's odds."""
        return self._policy.weigh(situation)

    def finished(self, answer: Answer) -> None:
        """Costs change nothing."""

    def rated(self, answer: Answer, score: float, at: int) -> None:
        """Scores change nothing."""


class Rated:
    """A policy over forecasts that ratings and costs correct, from a snapshot, as routers have it.

    By kind, all prompts of a kind get the same odds: those of what history says of the kind.
    """

    def __init__(self, problem: Problem, policy: Policy, *, by_kind: bool) -> None:
        self._cells, self._problem = Cells(problem), problem
        self._policy, self._by_kind = policy, by_kind
        self._told: dict[tuple[str, str], Told] = {}
        self._odds: dict[str, Odds] = {}
        self._until = 0

    def weigh(self, situation: Situation, at: int) -> Odds:
        """Return the policy's odds by what the latest snapshot says."""
        if at >= self._until:
            self._told, self._odds, self._until = {}, {}, at + self._problem.refresh
        if not self._by_kind:
            return self._weighed(situation.kind, situation.forecasts, at)
        kind = situation.kind
        if kind not in self._odds:
            self._odds[kind] = self._weighed(kind, self._forecasts(kind), at)
        return self._odds[kind]

    def finished(self, answer: Answer) -> None:
        """Learn what a plan costs against what was foreseen."""
        self._cells.spent(answer)

    def rated(self, answer: Answer, score: float, at: int) -> None:
        """Learn how much better a plan is than predicted."""
        self._cells.rated(answer, score, at)

    def _weighed(self, kind: str, forecasts: Sequence[Forecast], at: int) -> Odds:
        found = tuple(self._of(one.plan_name, kind, at).forecast(one) for one in forecasts)
        return self._policy.weigh(Situation(found, fallback=found[-1].plan_name, kind=kind))

    def _of(self, plan: str, kind: str, at: int) -> Told:
        if (plan, kind) not in self._told:
            ratings = self._cells.ratings(plan, kind, at)
            ratio = self._problem.price(plan, at) * self._cells.ratio(plan, at)
            self._told[plan, kind] = Told(ratings, ratio)
        return self._told[plan, kind]

    def _forecasts(self, kind: str) -> list[Forecast]:
        priors = self._problem.priors[kind].items()
        return [Forecast(plan, seconds=one.cost, quality=one.score) for plan, one in priors]


class Bandit:
    """LinUCB on score - price x cost, as the product's `metallm`; it reads features, not kinds."""

    def __init__(self, problem: Problem) -> None:
        size = problem.num_features
        given = Reduction(np.zeros(size, np.float32), np.eye(size, dtype=np.float32))
        self._learner, self._reduction = LinUcbLearner(problem.plans, given), given
        self._problem, self._until = problem, 0
        self._policy = LinUcb(given, self._learner.state())

    def weigh(self, situation: Situation, at: int) -> Odds:
        """Return the odds that the latest snapshot gives."""
        if at >= self._until:
            self._policy = LinUcb(self._reduction, self._learner.state())
            self._until = at + self._problem.refresh
        return self._policy.weigh(situation)

    def finished(self, answer: Answer) -> None:
        """A cost without a score is no reward."""

    def rated(self, answer: Answer, score: float, at: int) -> None:
        """Learn the reward of the plan that was taken."""
        reward = score - self._problem.cost_weight * answer.cost
        self._learner.learn(answer.plan, answer.situation.features, reward)


def _thompson(problem: Problem) -> Learner:
    return Rated(problem, Thompson(problem.cost_weight), by_kind=True)


def _greedy(problem: Problem) -> Learner:
    return Rated(problem, Exploring(Utility(problem.cost_weight), EPSILON), by_kind=True)


def _utility_rated(problem: Problem) -> Learner:
    return Rated(problem, Exploring(Utility(problem.cost_weight), EXPLORED), by_kind=False)


def _best_of_history(problem: Problem) -> str:
    def worth(plan: str) -> float:
        each = [of_plan[plan] for of_plan in problem.priors.values()]
        return sum(one.score - problem.cost_weight * one.cost for one in each)

    return max(problem.plans, key=worth)


LEARNERS: Mapping[str, Factory] = MappingProxyType(
    {
        THOMPSON: _thompson,
        NEVER_FORGETS: lambda problem: _thompson(
            replace(problem, half_life=FOREVER, run_length=0.0)
        ),
        GREEDY: _greedy,
        RATED: _utility_rated,
        METALLM: Bandit,
        UTILITY: lambda problem: Unlearned(Utility(problem.cost_weight)),
        STATIC: lambda problem: Unlearned(Static(_best_of_history(problem))),
        RANDOM: lambda problem: Unlearned(Random()),
    }
)
