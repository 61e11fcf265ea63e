"""Choosing a plan: one method, candidates and a request in, a choice with its propensity out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tiercel.errors import NotFound
from tiercel.replies import Candidate
from tiercel.wire.requests import Prompt


@dataclass(frozen=True)
class Situation:
    """What a policy may look at."""

    prompt: Prompt
    kind: str
    max_new_tokens: int
    temperature: float


@dataclass(frozen=True)
class Choice:
    """A plan's name, the probability with which it was picked, and why."""

    plan_name: str
    propensity: float
    candidates: tuple[Candidate, ...]
    reason: str


class Policy(Protocol):
    """Picks one of the named plans."""

    def choose(self, plan_names: Sequence[str], situation: Situation) -> Choice:
        """Return the choice; `plan_names` are those whose root takes work, never empty."""
        ...


class StaticPolicy:
    """Always the same plan."""

    def __init__(self, plan_name: str) -> None:
        self._plan_name = plan_name

    def choose(self, plan_names: Sequence[str], situation: Situation) -> Choice:
        """Return the plan, whatever the request."""
        candidates = (Candidate(self._plan_name),)
        return Choice(self._plan_name, 1.0, candidates, "the configured default plan")


def policy_named(policies: dict[str, Policy], name: str) -> Policy:
    """Return the policy; raises NotFound with the names that there are."""
    if name not in policies:
        known = ", ".join(policies)
        raise NotFound(f"no policy {name!r} here; there is {known}")
    return policies[name]
