"""What a session asks of the model: tokens to feed, and what to make of the logits behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.language_model import Cache, Logits

T = TypeVar("T")

# Tokens of a prompt that are worth a place in a pass; fewer only if they are all of it.
LEAST_PIECE = 16


class Memory:
    """One session's cache; it is opened when its first pass begins, in the model's thread."""

    def __init__(self, num_lasting: int = 0) -> None:
        """Start without a cache; the sequence's first `num_lasting` tokens are to stay in it."""
        self.num_lasting = num_lasting
        self.cache: Cache | None = None
        self.num_adopted = 0  # tokens that came from another sequence's cache
        self.num_shared = 0  # tokens at its beginning that other sequences may copy

    @property
    def length(self) -> int:
        """Number of tokens that the cache holds."""
        return self.cache.length if self.cache else 0


@dataclass(eq=False)
class Turn(Generic[T]):
    """Feed `tokens` from position `start` on, in one pass or several, and judge the last logits.

    `is_stale` is asked in the model's thread before every pass: once true, the turn is over.
    `follow` makes, from what was judged, the session's next turn; it may run at once, before the
    event loop has heard of this one, and is then `next`.
    With `parents` the last tokens are a tree, as in `Step`, and `kept` says which of its places
    stay after what was judged.
    """

    memory: Memory
    start: int
    tokens: Sequence[int]
    num_logits: int
    judge: Callable[[Logits], T]
    is_stale: Callable[[], bool]
    follow: "Callable[[T], Turn[T] | None]" = lambda _: None
    parents: Sequence[int] | None = None
    kept: Callable[[T], Sequence[int]] = lambda _: ()
    next: "Turn[T] | None" = None
    hidden: NDArray[np.float32] | None = None  # takes the hidden states behind the judged logits
    num_fed: int = 0  # of the tokens; adopted ones count
    seconds: float = 0.0  # that passes for it took, and judging

    @property
    def num_left(self) -> int:
        """Tokens still to be fed."""
        return len(self.tokens) - self.num_fed

    def piece(self, most: int) -> int:
        """Return how many tokens a pass with room for `most` takes: never part of the judged ones.

        These go into one pass, even if they are more than `most`.
        """
        if self.num_left <= most:
            return self.num_left
        return min(most, self.num_left - self.num_logits) or self.num_left

    def fits(self, room: int) -> bool:
        """Return whether a pass with this much room left should take some of it."""
        return room >= min(self.num_left, LEAST_PIECE)


@dataclass(frozen=True)
class Batch:
    """Turns for one pass, in the order in which they get what room it has, in tokens.

    How much the later ones get shows only when the first are begun: these may know most of their
    tokens from another session.
    """

    turns: tuple[Turn[Any], ...]
    room: int
