"""The world that a stream of requests meets: recorded scores and costs, and what changes them.

A change is made on top of what was recorded, and says so by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tiercel.routing.policy import Situation

Doubles = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class World:
    """What n prompts get from each plan now, and what routers know of them beforehand."""

    plans: tuple[str, ...]  # cheap ones first
    scores: Doubles  # [n, plans]
    costs: Doubles  # [n, plans], the seconds of forecasts are in the same unit
    situations: Sequence[Situation]  # with predictions fitted on other prompts
    cost_weight: float  # score that a unit of cost is worth

    @property
    def utilities(self) -> Doubles:
        """The score less the priced cost, [n, plans]."""
        return self.scores - self.cost_weight * self.costs

    @property
    def kinds(self) -> NDArray[np.str_]:
        """The kind of each prompt, [n]."""
        return np.array([one.kind for one in self.situations])

    @property
    def best_of_kind(self) -> Ints:
        """The plan of most mean utility on prompts of the same kind, for each prompt, [n]."""
        found = np.zeros(len(self.scores), np.intp)
        kinds, utilities = self.kinds, self.utilities
        for kind in np.unique(kinds):
            own = kinds == kind
            found[own] = utilities[own].mean(axis=0).argmax()
        return found


@dataclass(frozen=True)
class Change:
    """Something that happens to the world in mid-stream; nobody is told but of `prices`."""

    name: str
    make: Callable[[World], World]
    prices: Mapping[str, float] = field(default_factory=dict)  # in the configuration, times before


NO_CHANGE = Change("nothing changes", lambda world: world)


def quality_drop(plan: str, share: float) -> Change:
    """Return a silent drop: a random share of a plan's answers score 0 from now on."""

    def make(world: World) -> World:
        at, scores = world.plans.index(plan), world.scores.copy()
        scores[np.random.default_rng(0).random(len(scores)) < share, at] = 0.0
        return replace(world, scores=scores)

    return Change(f"{share:.0%} of the answers of {plan} score 0 (synthetic)", make)


def new_price(plan: str, factor: float) -> Change:
    """Return a change of what a plan costs; forecasts still say what it cost before."""

    def make(world: World) -> World:
        costs = world.costs.copy()
        costs[:, world.plans.index(plan)] *= factor
        return replace(world, costs=costs)

    return Change(f"{plan} costs {factor:g} times as much (synthetic)", make)


def configured_price(plan: str, factor: float) -> Change:
    """Return the same where the price stands in the configuration of routers, which know it."""
    made = new_price(plan, factor)
    return Change(f"{made.name}, which the configuration says", made.make, {plan: factor})


def fair_weight(scores: Doubles, costs: Doubles) -> float:
    """Return the price of cost at which the cheapest and the best plan are worth the same."""
    score, cost = scores.mean(axis=0), costs.mean(axis=0)
    best, cheap = int(score.argmax()), int(cost.argmin())
    return float((score[best] - score[cheap]) / max(cost[best] - cost[cheap], 1e-12))
