"""A model that says one text, whichever tokens it said the beginning of it in."""

from collections.abc import Sequence

import numpy as np

from tiercel.engines.language_model import Logits, Step
from tiercel.tokenizer import Tokenizer
from tiercel.types import ModelDescription


class Recital:
    """The tokens of one sequence."""

    def __init__(self) -> None:
        self.tokens: list[int] = []

    @property
    def length(self) -> int:
        return len(self.tokens)

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def close(self) -> None:
        self.tokens.clear()


class Reciter:
    """After `num_prompt_tokens` it is sure of what comes next as long as the text was followed."""

    def __init__(self, tokenizer: Tokenizer, num_prompt_tokens: int, text: bytes) -> None:
        self._tokenizer, self._num_prompt_tokens, self._text = tokenizer, num_prompt_tokens, text
        self.description = ModelDescription(
            name="reciter",
            engine="test",
            dtype="",
            vocab_size=tokenizer.vocab_size,
            max_length=2048,
            numerics_id="reciter",
            bit_exact=True,
        )

    def open(self, prefix: Recital | None = None, length: int = 0) -> Recital:
        return Recital()

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        return [self._extended(step) for step in steps]

    def close(self) -> None:
        pass

    def _extended(self, step: Step) -> Logits:
        step.cache.tokens += step.tokens
        length = len(step.cache.tokens)
        places = range(length - step.num_logits + 1, length + 1)
        return np.stack([self._row(step.cache.tokens[:place]) for place in places])

    def _row(self, tokens: list[int]) -> np.ndarray:
        row = np.zeros(self.description.vocab_size, np.float32)
        row[self._next(tokens)] = 100.0
        return row

    def _next(self, tokens: list[int]) -> int:
        said = b"".join(map(self._tokenizer.token_bytes, tokens[self._num_prompt_tokens :]))
        rest = self._text[len(said) :]
        if not rest or not self._text.startswith(said):
            return min(self._tokenizer.eos_ids)
        return self._tokenizer.spell(rest[:24])[0]
