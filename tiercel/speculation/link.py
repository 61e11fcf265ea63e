"""What a parent knows of each of its drafters, wherever that one is: one small protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tiercel import decoding
from tiercel.decoding import TokenDistribution
from tiercel.speculation.length import Costs
from tiercel.types import PairStats, Plan, TierStats


@dataclass(frozen=True)
class Draft:
    """Tokens that may follow the parent's sequence, and the tier that first proposed each."""

    token_ids: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    # One for each token, if the parent's rule asks for it and the drafter gave it.
    probs: tuple[float, ...] | None = None
    distributions: tuple[TokenDistribution, ...] | None = None
    span_places: tuple[int, ...] | None = None  # of a draft in another vocabulary, with `probs`

    def part(self, most: int) -> "Draft":
        """Return the draft of the first `most` tokens."""
        given = {name: value[:most] for name, value in vars(self).items() if value is not None}
        return replace(self, **given)

    def to_judge(self) -> decoding.Draft:
        """Return what a rule reads of it."""
        return decoding.Draft(
            self.token_ids, self.probs, self.distributions, span_places=self.span_places
        )


NO_DRAFT = Draft()

# Drafts in the model's thread: given a position, the tokens that were just committed there, and how
# many tokens to draft behind them at most.
Follow = Callable[[int, Sequence[int], int], Draft]


@dataclass(frozen=True)
class Round:
    """One pass of the parent: what it verified for a drafter, or for none that was waited for."""

    seconds: float  # of waiting and verifying
    draft: Draft
    num_accepted: int  # of its tokens
    num_tokens: int  # that it committed
    plain_s: float  # that plain decoding takes for a token


class Link(Protocol):
    """One drafter of one request: is asked, gives drafts, and counts what they cost and bring."""

    @property
    def plan(self) -> Plan:
        """The part of the plan that begins with this drafter."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether the drafter can be asked now."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether there is no hope that it ever will be; a re-plan makes a new link."""
        ...

    @property
    def num_unattended(self) -> int:
        """Tokens that the parent may decode without looking here; it is told of any change."""
        ...

    def ask(self, costs: Costs, most: int) -> None:
        """Ask for what pays, at most `most` tokens, of the parent's sequence as it is by now."""
        ...

    def draft(self) -> Draft:
        """Return what may follow the parent's sequence now; nothing if nothing is here yet."""
        ...

    def follow(self, costs: Costs) -> Follow | None:
        """Return what drafts while the model goes on by itself; None for one that must be asked."""
        ...

    def wait_until(self, costs: Costs) -> float | None:
        """Return up to when (monotonic clock) waiting for a draft pays; None if it does not."""
        ...

    def heard(self, draft: Draft) -> None:
        """Note what was there when a pass began; nothing, if it had nothing or came late."""
        ...

    def late(self) -> None:
        """Note that the parent waited in vain."""
        ...

    def round(self, round: Round) -> None:
        """Note what it took to wait for this drafter and verify what came, if anything did."""
        ...

    def rejected(self, position: int) -> None:
        """Note that this drafter's tokens were judged, and those from `position` on rejected."""
        ...

    def cut(self, length: int) -> None:
        """Note that of the parent's sequence only the first `length` tokens still stand."""
        ...

    def replan(self, plan: Plan) -> None:
        """Follow a new plan for the same drafter, from its next draft on."""
        ...

    def stats(self) -> tuple[list[PairStats], list[TierStats]]:
        """Return what this drafter and the tiers below it did."""
        ...

    async def close(self) -> None:
        """End it, here and there."""
        ...
