"""A model without weights over a real vocabulary: random logits, drawn anew for every prefix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.engines.checks import check_steps
from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.types import ModelDescription

MAX_LENGTH = 1024


@dataclass
class HashedCache:
    tokens: list[int]

    @property
    def length(self) -> int:
        return len(self.tokens)

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def close(self) -> None:
        pass


class HashedModel:
    """Models of unlike `noise` agree now and then."""

    def __init__(self, vocab_size: int, noise: float = 0.0) -> None:
        self._noise = noise
        self.description = ModelDescription(
            name="hashed",
            engine="hashed",
            dtype="fp32",
            vocab_size=vocab_size,
            max_length=MAX_LENGTH,
            numerics_id="hashed",
            bit_exact=True,
            copies_prefixes=True,
        )

    def open(self, prefix: Cache | None = None, length: int = 0) -> HashedCache:
        return HashedCache(prefix.tokens[:length] if prefix is not None else [])

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        vocab_size = self.description.vocab_size
        check_steps(steps, vocab_size=vocab_size, max_length=MAX_LENGTH)
        return [self._extend(step) for step in steps]

    def close(self) -> None:
        pass

    def _extend(self, step: Step) -> Logits:
        tokens = step.cache.tokens
        tokens += step.tokens
        ends = range(len(tokens) - step.num_logits + 1, len(tokens) + 1)
        rows = [self._row(tokens[max(0, end - 3) : end]) for end in ends]
        return np.array(rows, np.float32).reshape(len(rows), self.description.vocab_size)

    def _row(self, context: list[int]) -> np.ndarray:
        generator, vocab_size = np.random.default_rng(context), self.description.vocab_size
        row = 3 * generator.standard_normal(vocab_size, np.float32)
        return row + self._noise * generator.standard_normal(vocab_size, np.float32)
