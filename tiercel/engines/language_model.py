"""What a language model is to the rest of Tiercel: extend by tokens, truncate, describe itself.

It knows token ids only: nothing about text, sampling or sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.types import ModelDescription

Logits = NDArray[np.float32]  # shape [positions, vocab_size]


class Cache(Protocol):
    """The model's memory of one sequence."""

    @property
    def length(self) -> int:
        """Number of tokens that the cache holds."""
        ...

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on; `length` is at most the present one."""
        ...

    def close(self) -> None:
        """Give the memory back; a closed cache may not be used again."""
        ...


class TreeCache(Cache, Protocol):
    """A cache of a model whose description says `takes_trees`."""

    def keep(self, path: Sequence[int]) -> None:
        """Keep, of the tree in the last pass, the tokens at these places, and forget the others.

        `path` leads from the root down. Until this is called, or `truncate`, the cache may take
        part in no pass. Raises ValueError for what is no path of that tree.
        """
        ...


@dataclass(frozen=True)
class Step:
    """One sequence's part of a forward pass: append `tokens`, return the last `num_logits` rows.

    A `hidden` of shape [num_logits, hidden_size] is filled with those rows' normed hidden states,
    the head's input, by a model whose description gives a `hidden_size`.

    With `parents` the tokens are a tree: each follows that one of `tokens`, and -1 stands for the
    cache's last. Each row then sees its own path only, and `TreeCache.keep` says which one stays.
    """

    cache: Cache
    tokens: Sequence[int]
    num_logits: int
    hidden: NDArray[np.float32] | None = None
    parents: Sequence[int] | None = None


class LanguageModel(Protocol):
    """A causal language model with caches that can be rolled back. Not thread-safe."""

    @property
    def description(self) -> ModelDescription:
        """What this model is."""
        ...

    def open(self, prefix: Cache | None = None, length: int = 0) -> Cache:
        """Return a new cache that starts as a copy of the first `length` tokens of `prefix`.

        Both caches go their own ways from then on, and the copy's bits are those of a cache that
        was extended by these tokens. Without a prefix the cache is empty. Raises ValueError for a
        `length` that `prefix` does not hold; only a model whose description says
        `copies_prefixes` takes a prefix.
        """
        ...

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        """Append each step's tokens to its cache; return [num_logits, vocab_size] for each.

        Row i of a step's result predicts the token after `tokens[-num_logits + i]`. Raises
        InvalidRequest for an id outside the vocabulary or a sequence over `max_length`, before
        any cache of the call is touched; after any other error the caches are to be truncated to
        what they held.
        """
        ...

    def close(self) -> None:
        """Give back everything that the model holds."""
        ...
