"""What a row of logits says of the token that was taken from it: numbers for early evidence."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]


@dataclass
class Evidence:
    """One number a token, in nats: how likely it was, and how sure the model was there."""

    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)  # between the two best log-probabilities

    def add(self, logits: NDArray[np.float32], token_id: int) -> None:
        """Read a row `logits` of shape [vocab_size] at temperature 1."""
        scores = logits - logits.max()
        weights = np.exp(scores)
        total = float(weights.sum(dtype=np.float64))
        log_total = float(np.log(total))
        expected = float(np.dot(weights, np.maximum(scores, _FLOOR))) / total
        second, first = np.partition(scores, len(scores) - 2)[-2:]
        self.logprobs.append(float(scores[token_id]) - log_total)
        self.entropies.append(max(0.0, log_total - expected))
        self.margins.append(float(first) - float(second))


# A weight of exp(-100) is nothing, and minus infinity times 0 would be NaN.
_FLOOR = np.float32(-100.0)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log-probabilities of a row of shape [vocab_size], at temperature 1."""
    scores = logits.astype(np.float64) - float(logits.max())
    normed: NDArray[np.float64] = scores - np.log(np.exp(scores).sum())
    return normed


def halves(values: list[float]) -> Halves:
    """Return the values in float16, those out of its range at its ends."""
    limit = float(np.finfo(np.float16).max)
    return np.clip(np.array(values, np.float64), -limit, limit).astype(np.float16)
