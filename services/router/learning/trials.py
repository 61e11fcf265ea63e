"""A policy on trial: which requests it decides, and what it would have done with the others."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from services.router import metrics
from services.router.implied import implied_policy
from tiercel.learning import LearnedPolicy
from tiercel.routing.policy import Odds, Policy, Situation
from tiercel.routing.qualities import weight_of
from tiercel.routing.ranking import utility
from tiercel.sessions import Objective
from tiercel.trials import ShadowDecision, TrialPart

log = structlog.get_logger(__name__)

# How long a policy on trial goes on deciding while feedback, which watches over it, is not heard.
_MAX_SILENCE_S = 60.0


class Watched(Protocol):
    """What feedback tells, and for how long it has told nothing."""

    @property
    def policy(self) -> LearnedPolicy:
        """What is learned."""
        ...

    @property
    def silent_s(self) -> float:
        """Seconds since feedback was heard; infinite if it never was."""
        ...


@dataclass(frozen=True)
class Weighed:
    """The odds in force, whose they are, and those of the policy that only looked on."""

    policy: str
    odds: Odds
    part: TrialPart | None = None
    seen: Odds | None = None


class PolicyTrial:
    """One policy on trial beside the router's own; with a share of 0 it never decides."""

    def __init__(
        self,
        name: str,
        policy: Policy,
        *,
        incumbent: str,
        share: float,
        cost_weight: float,
        watched: Watched,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """`cost_weight` is what a second is worth in comparing the two, where nobody else says."""
        self._name, self._policy = name, policy
        self._incumbent, self._share = incumbent, share
        self._cost_weight = cost_weight
        self._watched, self._uniform = watched, uniform

    def concerns(self, objective: Objective) -> bool:
        """Return whether the caller leaves the policy to the router, whichever of the two it is."""
        both = (self._name, self._incumbent)
        left = all(implied_policy(objective.wishes, name) == name for name in both)
        return left and not objective.policy

    def weigh(self, incumbent: Policy, situation: Situation, session_id: str) -> Weighed:
        """Return the odds of the policy that the request falls to.

        A policy on trial that fails costs no request: the incumbent decides, and it is told.
        """
        if not self.acts:
            return Weighed(self._incumbent, incumbent.weigh(situation), None, self._look(situation))
        tried = self._draw(session_id) < self._share
        part = TrialPart(self._name, self._incumbent, self._share, tried)
        if not tried:
            return Weighed(self._incumbent, incumbent.weigh(situation), part, self._look(situation))
        odds = self._look(situation)
        if odds is None:
            part = replace(part, fault="raised")
            return Weighed(self._incumbent, incumbent.weigh(situation), part)
        return Weighed(self._name, odds, part)

    def shadows(
        self, weighed: Weighed, situation: Situation, chosen: str
    ) -> tuple[ShadowDecision, ...]:
        """Return what the policy would have done, where it only looked on."""
        seen = weighed.seen
        if seen is None:
            return ()
        likeliest = max(seen.probabilities, key=lambda name: seen.probabilities[name])
        weight = weight_of(situation, self._cost_weight)
        ours = _expected(seen, situation, weight)
        theirs = _expected(weighed.odds, situation, weight)
        shadow = ShadowDecision(
            self._name,
            self._incumbent,
            likeliest,
            agreement=min(1.0, seen.probabilities.get(chosen, 0.0)),
            utility_gain=None if ours is None or theirs is None else ours - theirs,
        )
        return (shadow,)

    @property
    def acts(self) -> bool:
        """Whether it decides its share: not unwatched, and not once it was rolled back."""
        learned = self._watched.policy
        ended = any(
            one.rolled_back and (one.policy, one.incumbent) == (self._name, self._incumbent)
            for one in learned.trials
        )
        watched = self._watched.silent_s <= _MAX_SILENCE_S and not learned.frozen
        return self._share > 0 and watched and not ended

    def _draw(self, session_id: str) -> float:
        """Return a number from [0, 1): of a conversation always the same."""
        if not session_id:
            return self._uniform()
        text = "\0".join((self._name, self._incumbent, session_id))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48

    def _look(self, situation: Situation) -> Odds | None:
        """Return its odds, None if it fails: it may be anybody's."""
        try:
            return self._policy.weigh(situation)
        except Exception:
            metrics.num_trial_faults.labels(self._name).inc()
            log.exception("a policy on trial failed", policy=self._name)
            return None


def _expected(odds: Odds, situation: Situation, weight: float) -> float | None:
    """Return the expected utility of some odds; None where a plan's is not known."""
    total = 0.0
    for name, probability in odds.probabilities.items():
        forecast = situation.forecast(name)
        value = utility(forecast, weight) if forecast is not None else None
        if value is None and probability > 0.0:
            return None
        total += probability * (value or 0.0)
    return total
