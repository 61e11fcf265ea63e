"""Ways to run one sequence through a model, and what must come out the same."""

from collections.abc import Sequence

import numpy as np

from tiercel.engines.language_model import LanguageModel, Logits, Step


def random_tokens(count: int, vocab_size: int, seed: int = 7) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(vocab_size, size=count)]


def logits_by_widths(model: LanguageModel, tokens: Sequence[int], widths: Sequence[int]) -> Logits:
    """Run all tokens in passes of the given widths, over and over; return every row."""
    cache, rows, start, turn = model.open(), [], 0, 0
    while start < len(tokens):
        part = tokens[start : start + widths[turn % len(widths)]]
        rows += model.extend([Step(cache, part, len(part))])
        start, turn = start + len(part), turn + 1
    cache.close()
    return np.concatenate(rows)


def same_bits(one: Logits, other: Logits) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()
