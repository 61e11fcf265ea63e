"""What serves a draft stream: something that follows a sequence and proposes how it goes on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tiercel.speculation.decoder import Decoder
from tiercel.types import PairStats, Plan, TierStats


@dataclass(frozen=True)
class Proposal:
    """Tokens that may follow the sequence."""

    token_ids: tuple[int, ...]
    sources: tuple[str, ...]
    compute_s: float
    # A number: the run ends here, and its last so many tokens are too unlikely to be sent.
    num_unsure: int | None = None


class Proposer(Protocol):
    """Follows one sequence and proposes tokens for it."""

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on."""
        ...

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that the parent committed."""
        ...

    async def propose(self, max_tokens: int) -> Proposal | None:
        """Add at most `max_tokens` tokens; None if the sequence was changed meanwhile."""
        ...

    def replan(self, plan: Plan) -> None:
        """Change what lies below."""
        ...

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what was done so far, by pair and by tier."""
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...


@runtime_checkable
class StatesProposer(Proposer, Protocol):
    """A proposer that works on its parent's hidden states."""

    def take_states(self, end: int, states: NDArray[np.float32]) -> None:
        """Take the states of the positions before `end`, [positions, hidden_size]."""
        ...


class ModelProposer:
    """Proposes what its own model would say, with or without drafters of its own."""

    def __init__(self, decoder: Decoder, check_plan: Callable[[Plan], None]) -> None:
        """`check_plan` raises for a plan that the tier does not follow."""
        self._decoder, self._check_plan = decoder, check_plan

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on."""
        self._decoder.cut(length)

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that the parent committed."""
        self._decoder.append(token_ids)

    async def propose(self, max_tokens: int) -> Proposal | None:
        """Decode one step; a token less likely than the plan's draft_confidence ends the run."""
        if self._decoder.session.room <= 0:
            return Proposal((), (), 0.0, num_unsure=0)
        confidence = self._decoder.plan.draft_confidence
        # A token that is too unlikely is the last one: what follows it would be for nothing.
        wanted = 0 if confidence > 0 else None
        step = await self._decoder.step(max_tokens, wanted, ahead=confidence <= 0)
        if step is None:
            return None
        is_unsure = confidence > 0 and exp(step.logprobs[-1].logprob) < confidence
        num_unsure = 1 if is_unsure else None
        return Proposal(step.token_ids, step.sources, step.compute_s, num_unsure)

    def replan(self, plan: Plan) -> None:
        """Change what lies below; raises PlanRefused or InvalidRequest."""
        self._check_plan(plan)
        self._decoder.replan(plan)

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what was done so far, by pair and by tier."""
        return self._decoder.stats()

    async def close(self) -> None:
        """Give everything back."""
        await self._decoder.close()
