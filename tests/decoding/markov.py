"""A model small enough to check by hand: the next token depends on the last one only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding import Vocabulary, choose
from tiercel.types import SamplingParams

VOCABULARY = Vocabulary.of([b"a", b"bc", b"d", b"", b"efgh", b"i", b"\xc3", b"<end>"])


def transitions(seed: int) -> NDArray[np.float32]:
    """Logits [8, 8]: row i is what follows token i."""
    rng = np.random.default_rng(seed)
    return rng.normal(scale=1.5, size=(8, 8)).astype(np.float32)


def rows(model: NDArray[np.float32], last: int, draft: Sequence[int]) -> NDArray[np.float32]:
    """Logits [len(draft) + 1, 8] of one pass over a draft that follows token `last`."""
    return model[[last, *(token if 0 <= token < 8 else 0 for token in draft)]]


def decode(
    model: NDArray[np.float32], last: int, params: SamplingParams, offset: int, count: int
) -> list[int]:
    """Plain decoding: `count` tokens, one by one, after token `last`."""
    tokens: list[int] = []
    for _ in range(count):
        last = choose(model[last], params, VOCABULARY, offset)
        offset = VOCABULARY.advance(offset, [last])
        tokens.append(last)
    return tokens
