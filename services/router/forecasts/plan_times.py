"""Seconds of one plan, put together from steps of its tiers."""

import math
from dataclasses import dataclass

from tiercel.descriptions import Residency, TierDescription

_NOT_HERE = (Residency.AWAY, Residency.LOADING)


@dataclass(frozen=True)
class PlanTimes:
    """Seconds of a plan, and what they cost at the tiers' prices."""

    begin_s: float  # of a cold or busy root
    prompt_token_s: float
    token_s: float
    prompt_token_cost: float
    token_cost: float
    alone_token_s: float = math.inf  # of the root, until its drafters take part
    late_s: float = 0.0  # until those drafters do whose models are away

    def seconds(self, num_prompt_tokens: float, num_tokens: float) -> float:
        """Return the seconds of an answer; the last pass over the prompt gives its first token."""
        later = self.rest_s(max(0.0, num_tokens - 1.0))
        return self.begin_s + self.prompt_token_s * num_prompt_tokens + later

    def rest_s(self, num_tokens: float, *, joining_s: float = 0.0) -> float:
        """Return the seconds of further tokens, if drafters take part only after `joining_s`.

        The root goes on alone meanwhile.
        """
        saved = 1.0 - self.token_s / self.alone_token_s if self.alone_token_s else 0.0
        if saved <= 0:
            return self.token_s * num_tokens
        late_s = (self.late_s + joining_s) * saved
        return min(self.token_s * num_tokens + late_s, self.alone_token_s * num_tokens)

    def cost(self, num_prompt_tokens: float, num_tokens: float) -> float:
        """Return the cost of an answer: the seconds of work of each tier times its price."""
        later = self.token_cost * max(0.0, num_tokens - 1.0)
        return self.prompt_token_cost * num_prompt_tokens + later


@dataclass(frozen=True)
class Step:
    """Seconds of a pass, by its width."""

    pass_s: float
    pass_s_per_token: float
    wait_s: float = 0.0
    prompt_token_s: float = 0.0
    load_s: float = 0.0
    begin_s: float = 0.0  # before the first pass, where that is known apart from waiting for passes
    num_sessions: int = 1  # which share passes, or wait for each other's

    def __call__(self, num_tokens: int) -> float:
        """Return the seconds of a pass in which every session has so many tokens.

        A draft token keeps all of them waiting. Who counts only his own would have everybody draft
        where nobody should.
        """
        further_s = self.pass_s_per_token * (self.num_sessions * num_tokens - 1)
        return self.wait_s + self.pass_s + further_s


@dataclass(frozen=True)
class Priced:
    """What a pass costs; waiting costs nothing."""

    step: Step
    price: float

    def __call__(self, num_tokens: int) -> float:
        return self.price * worked(self.step, num_tokens)


def worked(step: Step, num_tokens: int) -> float:
    """Return the seconds of a pass without those that it waits, or that others have of it."""
    return step.pass_s + step.pass_s_per_token * (num_tokens - 1)


def step_of(about: TierDescription) -> Step:
    """Return the times of a replica as it describes them.

    Requests that come in waves find few sessions there and are soon among many: those of the last
    seconds count as well.
    """
    speed = about.speed
    num_sessions = max(about.num_sessions, round(about.mean_sessions))
    waiting_s = speed.wait_s if num_sessions else 0.0
    return Step(
        pass_s=speed.pass_s,
        pass_s_per_token=speed.pass_s_per_token,
        wait_s=max(waiting_s, about.num_waiting_passes * speed.pass_s),
        prompt_token_s=speed.prefill_s_per_token,
        load_s=about.load_s if about.residency in _NOT_HERE else 0.0,
        num_sessions=max(1, num_sessions),
    )
