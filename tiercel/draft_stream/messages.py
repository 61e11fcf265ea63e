"""The messages of the draft stream that move its state."""

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.decoding.distributions import TokenDistribution


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a draft token comes from, and what its drafter says of how it was drawn, if asked."""

    source: str  # the tier that proposed it first
    prob: float | None = None
    distribution: TokenDistribution | None = None


def probs_of(origins: Sequence[Origin]) -> tuple[float, ...] | None:
    """Return the probability of each token, None unless all are known."""
    probs = [origin.prob for origin in origins if origin.prob is not None]
    return tuple(probs) if probs and len(probs) == len(origins) else None


def distributions_of(origins: Sequence[Origin]) -> tuple[TokenDistribution, ...] | None:
    """Return what each token was drawn from, None unless all are known."""
    known = [origin.distribution for origin in origins if origin.distribution is not None]
    return tuple(known) if known and len(known) == len(origins) else None


@dataclass(frozen=True)
class Advance:
    """The parent's truth: keep so many tokens, append these; all of it is committed."""

    epoch: int
    keep_length: int
    token_ids: tuple[int, ...]
    prefix_hash: int  # of the whole sequence after this message
    max_tokens_ahead: int
    num_speculative_tokens: int


@dataclass(frozen=True)
class Block:
    """A contiguous run of draft tokens; an empty one says that there is nothing to propose."""

    epoch: int
    start_position: int
    token_ids: tuple[int, ...]
    prefix_hash: int  # of the sequence before `start_position`
    sources: tuple[str, ...]  # the tier that proposed each token first
    probs: tuple[float, ...] | None = None  # of each token, if asked for
    distributions: tuple[TokenDistribution, ...] | None = None  # that each was drawn from, likewise

    def origins(self) -> list[Origin]:
        """Return what is said of each token."""
        unknown = (None,) * len(self.token_ids)
        probs, distributions = self.probs or unknown, self.distributions or unknown
        said = zip(self.sources, probs, distributions, strict=True)
        return [Origin(*one) for one in said]


@dataclass(frozen=True)
class Resync:
    """The drafter's answer to an Advance that does not fit its sequence."""

    epoch: int
    have_position: int
    prefix_hash: int  # of the sequence before `have_position`
