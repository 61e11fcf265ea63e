"""What an online learner is: it weighs plans like a policy, and hears what came of its choices."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tiercel.routing.policy import Odds, Situation

FOREVER = float("inf")


@dataclass(frozen=True)
class Clock:
    """When something is seen, in requests, and after how many what was seen weighs half."""

    at: int
    half_life: float


@dataclass(frozen=True)
class Answer:
    """One request, the plan that it was given to, and what that cost."""

    at: int  # the request's number in the stream
    situation: Situation
    plan: str
    cost: float


@dataclass(frozen=True)
class Prior:
    """What history says of a plan on prompts of one kind."""

    score: float
    cost: float


@dataclass(frozen=True)
class Repriced:
    """Prices that are changed in the configuration, so that routers know of it at once."""

    at: int
    factors: Mapping[str, float]  # by plan


@dataclass(frozen=True)
class Problem:
    """What a learner is told before the first request. The clock counts requests."""

    plans: tuple[str, ...]
    cost_weight: float
    num_features: int
    priors: Mapping[str, Mapping[str, Prior]]  # by kind and plan, from other prompts
    half_life: float  # requests after which an outcome weighs half
    refresh: int  # requests between two looks at what was learned, as a router has snapshots
    run_length: float = 0.0  # ratings of a plan until it begins anew for nothing; 0: it never does
    repriced: Repriced | None = None

    def price(self, plan: str, at: int) -> float:
        """Return what the configuration says that a plan costs at request `at`: times before."""
        new = self.repriced
        return 1.0 if new is None or at < new.at else new.factors.get(plan, 1.0)

    def foreseen(self, plan: str, kind: str, at: int) -> float:
        """Return what an answer to a prompt of that kind should cost at request `at`."""
        return self.price(plan, at) * self.priors[kind][plan].cost


class Learner(Protocol):
    """Decides, and learns. One is made for each stream."""

    def weigh(self, situation: Situation, at: int) -> Odds:
        """Return the odds of each plan for the request of number `at`."""
        ...

    def finished(self, answer: Answer) -> None:
        """Hear what an answer cost, at once."""
        ...

    def rated(self, answer: Answer, score: float, at: int) -> None:
        """Hear a score, which comes at request `at`, later than the answer or never."""
        ...


Factory = Callable[[Problem], Learner]
