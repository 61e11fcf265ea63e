"""Probes whether a model gives the same bits however a sequence is cut into passes."""

from collections.abc import Sequence

import numpy as np

from tiercel.engines.language_model import LanguageModel, Logits, Step

# Lone tokens at the start, in the middle and at the end; odd, even and wide passes.
_WIDTHS = ((18,), (1, 2, 13, 1, 1))


def is_bit_exact(model: LanguageModel, vocab_size: int) -> bool:
    """Return whether the logits of a short sequence are bitwise equal for two ways to cut it."""
    tokens = np.random.default_rng(0).integers(vocab_size, size=18).tolist()
    whole, parts = (_logits(model, tokens, widths) for widths in _WIDTHS)
    return whole.tobytes() == parts.tobytes()


def _logits(model: LanguageModel, tokens: Sequence[int], widths: Sequence[int]) -> Logits:
    cache = model.open()
    try:
        rows, start = [], 0
        for width in widths:
            step = Step(cache, tokens[start : start + width], num_logits=width)
            rows += model.extend([step])
            start += width
        return np.concatenate(rows)
    finally:
        cache.close()
