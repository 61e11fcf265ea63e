"""The learners that are compared: what the product decides by, and what it has to beat."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from tiercel.evaluation.learning.cells import CellBeliefs
from tiercel.evaluation.learning.learner import FOREVER, Answer, Factory, Problem
from tiercel.routing.beliefs import Belief, odds_of_best
from tiercel.routing.costs import Random, Static
from tiercel.routing.linucb import LinUcb, LinUcbLearner
from tiercel.routing.policy import Forecast, Odds, Policy, Situation
from tiercel.routing.qualities import Utility
from tiercel.routing.reduction import Reduction
from tiercel.routing.wrapping import Exploring

THOMPSON, NEVER_FORGETS, GREEDY = "thompson", "thompson, never forgets", "epsilon-greedy"
METALLM, UTILITY, STATIC, RANDOM = "metallm", "utility, fixed", "static, fixed", "random"
EPSILON = 0.05

Chooser = Callable[[Mapping[str, Belief], Mapping[str, float]], Odds]
"""Returns odds from what is believed of each plan's score, and from its priced cost."""


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


class Believing:
    """Beta beliefs of each plan's score by kind, faded by requests; odds are of a snapshot."""

    def __init__(self, problem: Problem, choose: Chooser) -> None:
        self._cells = CellBeliefs(problem)
        self._problem, self._choose = problem, choose
        self._odds: dict[str, Odds] = {}
        self._until = 0

    def weigh(self, situation: Situation, at: int) -> Odds:
        """Return the odds that the latest snapshot gives a request of this kind."""
        if at >= self._until:
            self._odds, self._until = {}, at + self._problem.refresh
        if situation.kind not in self._odds:
            found = self._cells.of(situation.kind, at)
            self._odds[situation.kind] = self._choose(*found)
        return self._odds[situation.kind]

    def finished(self, answer: Answer) -> None:
        """Learn what a plan costs against what was foreseen."""
        self._cells.spent(answer)

    def rated(self, answer: Answer, score: float, at: int) -> None:
        """Learn how good a plan is on the answer's kind."""
        self._cells.rated(answer, score, at)


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


def thompson(beliefs: Mapping[str, Belief], prices: Mapping[str, float]) -> Odds:
    """Return each plan's chance to be the best: the product's integral, nothing is drawn."""
    odds = odds_of_best(list(beliefs.values()), [prices[plan] for plan in beliefs])
    return Odds(dict(zip(beliefs, odds.tolist(), strict=True)), "Thompson sampling")


def greedy(beliefs: Mapping[str, Belief], prices: Mapping[str, float]) -> Odds:
    """Return the best mean for certain but for EPSILON, which is shared by all plans."""
    forecasts = tuple(
        Forecast(plan, seconds=prices[plan], quality=one.mean) for plan, one in beliefs.items()
    )
    situation = Situation(forecasts, fallback=forecasts[0].plan_name)
    return Exploring(Utility(cost_weight=1.0), EPSILON).weigh(situation)


def _best_of_history(problem: Problem) -> str:
    def worth(plan: str) -> float:
        each = [of_plan[plan] for of_plan in problem.priors.values()]
        return sum(one.score - problem.cost_weight * one.cost for one in each)

    return max(problem.plans, key=worth)


LEARNERS: Mapping[str, Factory] = MappingProxyType(
    {
        THOMPSON: lambda problem: Believing(problem, thompson),
        NEVER_FORGETS: lambda problem: Believing(replace(problem, half_life=FOREVER), thompson),
        GREEDY: lambda problem: Believing(problem, greedy),
        METALLM: Bandit,
        UTILITY: lambda problem: Unlearned(Utility(problem.cost_weight)),
        STATIC: lambda problem: Unlearned(Static(_best_of_history(problem))),
        RANDOM: lambda problem: Unlearned(Random()),
    }
)
