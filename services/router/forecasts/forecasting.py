"""What is predicted of every plan for one request: quality, seconds, cost, length."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from services.router.conversations import Remembered
from services.router.forecasts.chain_times import ChainTimes
from services.router.forecasts.plan_times import PlanTimes
from services.router.forecasts.trained_seconds import Trained, TrainedSeconds
from services.router.fresh import Fresh
from services.router.learning.learned import Advice
from tiercel.routing.answers import answer_of, rated_as
from tiercel.routing.policy import Features, Forecast
from tiercel.routing.rated import Expected, expected
from tiercel.sessions import Ask
from tiercel.types import Plan
from tiercel.wire.requests import Prompt, TokenIds

# Of English text in common vocabularies.
_CHARACTERS_PER_TOKEN = 4.0
_RATE_STEPS = 20  # predicted acceptance rates are rounded, so that times are worked out once


@dataclass(frozen=True)
class Graded:
    """What a quality predictor says of one prompt, by answer: see `answer_of`."""

    quality: Mapping[str, float] = field(default_factory=dict)
    bound: Mapping[str, float] = field(default_factory=dict)  # absent: too little evidence
    num_tokens: Mapping[str, float] = field(default_factory=dict)
    acceptance: Mapping[str, float] = field(default_factory=dict)  # by "drafter under verifier"
    features: Features = field(default_factory=lambda: np.zeros(0, np.float32))


class Grader(Protocol):
    """Predicts qualities. `digest` names the fitted model behind it."""

    @property
    def digest(self) -> str:
        """Hex sha256 of the model."""
        ...

    def grade(self, ask: Ask, conversation: Remembered) -> Graded:
        """Return what is predicted for one request."""
        ...


@dataclass(frozen=True, eq=False)
class Planned:
    """A plan, and what many requests ask of it; each is equal to itself only."""

    plan: Plan
    answer: str
    pairs: tuple[str, ...]  # "drafter under verifier"
    rated_as: str  # what ratings of its answers are kept under

    @classmethod
    def of(cls, plan: Plan, *, is_certified: bool = False) -> "Planned":
        """Return the plan with what follows from it.

        The answer of one whose rule `is_certified`, if it is lossy, is as good as its root's.
        """
        pairs = (
            f"{below.tier} under {part.tier}" for part in plan.walk() for below in part.drafters
        )
        if is_certified:
            return cls(plan, plan.tier, tuple(pairs), plan.tier)
        return cls(plan, answer_of(plan), tuple(pairs), rated_as(plan))


@dataclass(frozen=True)
class Forecasts:
    """Of every plan, and the features behind them."""

    plans: tuple[Forecast, ...]
    num_prompt_tokens: float
    features: Features
    digest: str
    predicted: Mapping[str, float] = field(default_factory=dict)  # by plan, without ratings


class Forecaster:
    """Puts together what the quality predictor, ratings, tiers and the trained seconds say."""

    def __init__(
        self,
        times: ChainTimes,
        *,
        grader: Grader | None = None,
        trained: TrainedSeconds | None = None,
        prices: Mapping[str, float] | None = None,
        advice: Advice | None = None,
    ) -> None:
        """Without `advice` nothing was rated."""
        self._times = times
        self._advice = advice or Advice()
        self._grader = grader
        self._trained = trained
        self._prices = prices or {}
        self._known: Fresh[PlanTimes | None] = Fresh()

    def forecast(
        self, ask: Ask, plans: Mapping[str, Planned], kind: str, conversation: Remembered
    ) -> Forecasts:
        """Return the forecasts of `plans`, every number of which is filled in."""
        graded = Graded() if self._grader is None else self._grader.grade(ask, conversation)
        trained = self._predicted(ask)
        num_prompt_tokens = tokens_of(ask.prompt)
        made = _Making(ask, graded, trained, num_prompt_tokens)
        acceptance = {**trained.acceptance, **graded.acceptance}
        each = (
            made.forecast(
                name,
                planned,
                self._of(planned, kind, acceptance),
                self._prices,
                self._expected(planned, kind, graded),
            )
            for name, planned in plans.items()
        )
        return Forecasts(
            tuple(each),
            num_prompt_tokens,
            graded.features,
            digest=self._grader.digest if self._grader else "",
            predicted=_by_plan(plans, graded.quality),
        )

    def _expected(self, planned: Planned, kind: str, graded: Graded) -> Expected:
        answer, ratings = planned.answer, self._advice.ratings(planned.rated_as, kind)
        return expected(graded.quality.get(answer), graded.bound.get(answer), ratings)

    def _predicted(self, ask: Ask) -> Trained:
        if self._trained is None:
            return Trained()
        return self._trained.predict(
            ask.prompt,
            temperature=ask.sampling.temperature,
            max_new_tokens=ask.stop.max_new_tokens,
        )

    def _of(self, planned: Planned, kind: str, acceptance: Mapping[str, float]) -> PlanTimes | None:
        rates = {
            name: round(acceptance[name] * _RATE_STEPS) / _RATE_STEPS
            for name in planned.pairs
            if name in acceptance
        }
        key = (planned, kind, *rates.items())
        return self._known.of(key, lambda: self._times.of(planned.plan, kind, rates))


@dataclass(frozen=True)
class _Making:
    """What all plans of one request share."""

    ask: Ask
    graded: Graded
    trained: Trained
    num_prompt_tokens: float

    def forecast(
        self,
        name: str,
        planned: Planned,
        times: PlanTimes | None,
        prices: Mapping[str, float],
        known: Expected,
    ) -> Forecast:
        plan, answer = planned.plan, planned.answer
        number = self._num_tokens(answer, plan.tier)
        if times is not None:
            seconds: float | None = times.seconds(self.num_prompt_tokens, number)
            cost: float | None = times.cost(self.num_prompt_tokens, number)
        else:
            seconds = self.trained.seconds.get(name)
            cost = None if seconds is None else seconds * prices.get(plan.tier, 1.0)
        return Forecast(
            plan_name=name,
            seconds=seconds,
            quality=known.quality,
            quality_bound=known.bound,
            cost=cost,
            num_tokens=number,
            answer=answer,
            num_ratings=known.num_ratings,
        )

    def _num_tokens(self, answer: str, root: str) -> float:
        most = float(self.ask.stop.max_new_tokens)
        known = self.graded.num_tokens.get(answer, self.trained.num_tokens.get(root, most))
        return min(most, known)


def _by_plan(plans: Mapping[str, Planned], values: Mapping[str, float]) -> dict[str, float]:
    return {name: values[one.answer] for name, one in plans.items() if one.answer in values}


def tokens_of(prompt: Prompt) -> float:
    """Return about how many tokens a prompt has; exactly, where it is ids."""
    if isinstance(prompt, TokenIds):
        return float(len(prompt.token_ids))
    if isinstance(prompt, str):
        return len(prompt) / _CHARACTERS_PER_TOKEN
    return sum(len(message.content) for message in prompt) / _CHARACTERS_PER_TOKEN
