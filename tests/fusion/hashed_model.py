"""A model without weights, whose next-token distributions are drawn from hashes of prefixes."""

from collections.abc import Sequence

import numpy as np

from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.types import ModelDescription

VOCAB_SIZE = 6


class TokenCache:
    """The tokens of one sequence."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.closed = False

    @property
    def length(self) -> int:
        return len(self.tokens)

    def truncate(self, length: int) -> None:
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate {self.length} tokens to {length}")
        del self.tokens[length:]

    def close(self) -> None:
        self.closed = True


class HashedModel:
    """The same `seed` is the same model. Counts its passes, keeps its caches."""

    def __init__(self, seed: int) -> None:
        self.seed, self.caches, self.num_passes = seed, list[TokenCache](), 0

    @property
    def description(self) -> ModelDescription:
        return ModelDescription(
            name=f"hashed {self.seed}",
            engine="hashed",
            dtype="none",
            vocab_size=VOCAB_SIZE,
            max_length=1000,
            numerics_id=f"hashed {self.seed}",
            bit_exact=True,
        )

    def open(self, prefix: Cache | None = None, length: int = 0) -> TokenCache:
        self.caches.append(TokenCache())
        return self.caches[-1]

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        self.num_passes += 1
        return [self._extend_one(step) for step in steps]

    def row(self, prefix: Sequence[int]) -> np.ndarray:
        """Return the logits that follow a prefix."""
        drawn = np.random.default_rng([self.seed, len(prefix), *prefix])
        return drawn.normal(scale=2.0, size=VOCAB_SIZE).astype(np.float32)

    def close(self) -> None:
        pass

    def _extend_one(self, step: Step) -> Logits:
        cache = step.cache
        assert isinstance(cache, TokenCache) and not cache.closed and step.tokens
        cache.tokens += step.tokens
        ends = range(cache.length - step.num_logits + 1, cache.length + 1)
        return np.stack([self.row(cache.tokens[:end]) for end in ends])
