"""What serves a draft stream: something that follows a sequence and proposes how it goes on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding import TokenDistribution
from tiercel.draft_stream import Origin
from tiercel.speculation.decoder import Decoder
from tiercel.speculation.judging import Verified
from tiercel.types import PairStats, Plan, TierStats


@dataclass(frozen=True)
class Proposal:
    """Tokens that may follow the sequence."""

    token_ids: tuple[int, ...]
    sources: tuple[str, ...]
    compute_s: float
    # A number: the run ends here, and its last so many tokens are too unlikely to be sent.
    num_unsure: int | None = None
    # One for each token, where the parent asked for it.
    probs: tuple[float, ...] | None = None
    distributions: tuple[TokenDistribution, ...] | None = None

    def origins(self) -> list[Origin]:
        """Return what is said of each token."""
        unknown = (None,) * len(self.token_ids)
        probs, distributions = self.probs or unknown, self.distributions or unknown
        said = zip(self.sources, probs, distributions, strict=True)
        return [Origin(*one) for one in said]


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
        """Decode one step; where the model is less sure than draft_confidence the run ends."""
        if self._decoder.session.room <= 0:
            return Proposal((), (), 0.0, num_unsure=0)
        confidence = self._decoder.plan.draft_confidence
        # A token that is too unlikely is the last one: what follows it would be for nothing.
        wanted = 0 if confidence > 0 else None
        step = await self._decoder.step(max_tokens, wanted, ahead=confidence <= 0)
        if step is None:
            return None
        verified = step.verified
        return Proposal(
            step.token_ids,
            step.sources,
            verified.compute_s,
            _num_unsure(verified, confidence) if confidence > 0 else None,
            verified.probs,
            verified.distributions,
        )

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


def _num_unsure(verified: Verified, confidence: float) -> int | None:
    """Return how many tokens at the end are not to be sent; None if all are.

    A token that was drawn from what is sent may not be dropped for what it is, only for how little
    its model knew: in every place alike, for some tokens were drafted below, and some were not.
    """
    if verified.distributions is None:
        return 1 if exp(verified.logprobs[-1].logprob) < confidence else None
    sure = [one.shares.max() >= confidence for one in verified.distributions]
    return None if all(sure) else len(sure) - sure.index(False)
