"""The messages of the draft stream that move its state."""

from dataclasses import dataclass


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


@dataclass(frozen=True)
class Resync:
    """The drafter's answer to an Advance that does not fit its sequence."""

    epoch: int
    have_position: int
    prefix_hash: int  # of the sequence before `have_position`
