"""What a policy is: it weighs the plans that could answer, and says with which odds each is taken.

A policy never draws by itself. Propensities are therefore exact, and a replay takes expectations
instead of samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]

_ROUNDING = 1e-6  # by which a sum of odds may miss 1


@dataclass(frozen=True)
class Forecast:
    """What is predicted of one plan for one request; None where nothing is known."""

    plan_name: str
    seconds: float | None = None  # to the end of the answer
    quality: float | None = None  # expected score in [0, 1], calibrated
    quality_bound: float | None = None  # lower confidence bound of the same
    cost: float | None = None  # in the unit of the tiers' prices
    num_tokens: float | None = None  # of the answer
    answer: str = ""  # its root and lossy rules: plans that share it give the same answer
    num_ratings: float | None = None  # that the quality is worth; None: as a prediction alone is

    @property
    def arm(self) -> str:
        """What quality is learned of: all plans that give the same answer, or else this one."""
        return self.answer or self.plan_name


@dataclass(frozen=True)
class Wishes:
    """What the caller asked for; None leaves it to the policy."""

    cost_weight: float | None = None  # quality that a second is worth
    target_quality: float | None = None
    max_seconds: float | None = None
    max_cost: float | None = None


@dataclass(frozen=True)
class Situation:
    """What a policy may look at. `forecasts` are of the plans that may be picked, at least one."""

    forecasts: tuple[Forecast, ...]
    fallback: str  # the configured default plan, if it is among them, else the first
    features: Features = field(default_factory=lambda: np.zeros(0, np.float32))  # of the prompt
    kind: str = ""  # the caller's own word
    wishes: Wishes = field(default_factory=Wishes)
    incumbent: str = ""  # the plan that answered this conversation last
    may_escalate: bool = False  # whether a larger tier may take over in the middle of the answer
    budget_weight: float | None = None  # quality that a unit of cost is worth, to keep a budget

    def forecast(self, plan_name: str) -> Forecast | None:
        """Return the forecast of a plan, if it may be picked."""
        return next((one for one in self.forecasts if one.plan_name == plan_name), None)


@dataclass(frozen=True)
class Odds:
    """The probability of each plan, and why.

    `forced`: why there was no choice. `insufficient_evidence`: a quality was asked for of which
    too little is known. Raises ValueError for what are no odds.
    """

    probabilities: Mapping[str, float]  # adds up to 1
    reason: str
    forced: str = ""
    insufficient_evidence: bool = False

    def __post_init__(self) -> None:
        values = self.probabilities.values()
        if not (min(values, default=-1.0) >= 0.0 and abs(sum(values) - 1.0) < _ROUNDING):
            raise ValueError(f"no odds, which add up to 1: {dict(self.probabilities)}")

    @classmethod
    def certain(
        cls, plan_name: str, reason: str, *, forced: str = "", insufficient_evidence: bool = False
    ) -> "Odds":
        """Return the odds of a policy that always takes this plan here."""
        return cls({plan_name: 1.0}, reason, forced, insufficient_evidence)

    def drawn(self, uniform: float) -> str:
        """Return the plan that a number drawn from [0, 1) falls on."""
        taken = [(name, one) for name, one in self.probabilities.items() if one > 0.0]
        for name, probability in taken:
            uniform -= probability
            if uniform < 0.0:
                return name
        return taken[-1][0]  # the sum fell short of 1 by rounding


class Policy(Protocol):
    """Weighs plans. What it learns, if anything, it learns elsewhere."""

    def weigh(self, situation: Situation) -> Odds:
        """Return the odds; only plans of `situation.forecasts` have any."""
        ...
