"""Probes whether a model gives the same bits however a sequence is cut into passes."""

from collections.abc import Sequence

import numpy as np

from tiercel.engines.language_model import LanguageModel, Logits, Step

# Lone tokens at the start, in the middle and at the end; odd, even and wide passes.
_WHOLE, _PARTS = (18,), (1, 2, 13, 1, 1)
_NEIGHBOUR_WIDTH = 3


def is_bit_exact(model: LanguageModel, vocab_size: int) -> bool:
    """Return whether a short sequence's logits are bitwise equal however it is cut into passes.

    Nor may they depend on another sequence in the same pass.
    """
    tokens = np.random.default_rng(0).integers(vocab_size, size=18).tolist()
    whole = _logits(model, tokens, _WHOLE).tobytes()
    return all(
        _logits(model, tokens, _PARTS, neighbour).tobytes() == whole
        for neighbour in (0, _NEIGHBOUR_WIDTH)
    )


def _logits(
    model: LanguageModel, tokens: Sequence[int], widths: Sequence[int], neighbour_width: int = 0
) -> Logits:
    cache, neighbour = model.open(), model.open()
    try:
        rows, start = [], 0
        for width in widths:
            steps = [Step(cache, tokens[start : start + width], num_logits=width)]
            if neighbour_width:
                steps.append(Step(neighbour, tokens[:neighbour_width], 0))
            rows.append(model.extend(steps)[0])
            start += width
        return np.concatenate(rows)
    finally:
        cache.close()
        neighbour.close()
