"""Models of a few tokens whose distributions are known, for tests that count what comes out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.language_model import Logits, Step
from tiercel.tokenizer import Tokenizer
from tiercel.types import ModelDescription

MAX_LENGTH = 1 << 20


class ToyCache:
    """The tokens of one sequence."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens
        self.num_fed = 0  # in the last pass

    @property
    def length(self) -> int:
        return len(self.tokens)

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def keep(self, path: Sequence[int]) -> None:
        """Keep, of the last pass, the tokens at these places."""
        start = len(self.tokens) - self.num_fed
        self.tokens[start:] = [self.tokens[start + place] for place in path]

    def close(self) -> None:
        self.tokens = []


class ToyModel:
    """A model whose next token depends on the last one only: row i of its table follows token i.

    With equal rows it ignores what came before.
    """

    def __init__(
        self, probs: NDArray[np.float64], name: str = "toy", takes_trees: bool = False
    ) -> None:
        """Take a table of probabilities [vocab_size, vocab_size], one row for each last token."""
        with np.errstate(divide="ignore"):
            self._table = np.log(probs).astype(np.float32)
        self._description = ModelDescription(
            name=name,
            engine="simulated",
            dtype="none",
            vocab_size=len(probs),
            max_length=MAX_LENGTH,
            numerics_id=f"toy-{name}",
            bit_exact=True,
            max_batch_rows=256,
            takes_trees=takes_trees,
        )

    @property
    def description(self) -> ModelDescription:
        return self._description

    def open(self, prefix=None, length: int = 0) -> ToyCache:
        assert prefix is None, "a toy copies no prefixes"
        return ToyCache([])

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        for step in steps:
            step.cache.tokens += step.tokens
            step.cache.num_fed = len(step.tokens)
        return [self._table[list(step.tokens[-step.num_logits :])] for step in steps]

    def close(self) -> None:
        pass


def letters(vocab_size: int) -> Tokenizer:
    """Return a tokenizer of so many tokens, a letter each; none ends an answer."""
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [chr(ord("a") + index) for index in range(vocab_size)],
        "tokenizer.ggml.token_type": [1] * vocab_size,
        "tokenizer.ggml.merges": [],
    }
    return Tokenizer.from_gguf(metadata.get)


def memoryless(probs: Sequence[float]) -> NDArray[np.float64]:
    """Return the table of a model that ignores history."""
    return np.tile(np.asarray(probs, np.float64), (len(probs), 1))


def markov(seed: int, vocab_size: int = 5, spread: float = 1.0) -> NDArray[np.float64]:
    """Return a random table, the same for the same seed."""
    logits = np.random.default_rng(seed).normal(scale=spread, size=(vocab_size, vocab_size))
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)
