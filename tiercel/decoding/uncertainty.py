"""How sure a model is of its next token: entropy and margin of the distribution in its logits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import ModelFault


@dataclass(frozen=True)
class Uncertainty:
    """Of one distribution over a vocabulary, at temperature 1."""

    entropy: float  # nats; 0 for a single token, log(vocab_size) for the uniform distribution
    margin: float  # log-probability of the best token less that of the second, infinite for none


def uncertainty(logits: NDArray[np.float32]) -> Uncertainty:
    """Return how sure the softmax of `logits`, shape [vocab_size], is of its best token.

    Entropy is -sum(p log p) (Shannon 1948), computed as log(sum(exp(d))) - sum(d exp(d)) /
    sum(exp(d)) with d the distance to the best logit, in float64. A logit of -inf counts for
    nothing; one of +inf is all there is. Raises ModelFault for NaN or no finite logit.
    """
    best = float(np.max(logits))
    if np.isnan(best) or best == -np.inf:
        raise ModelFault("the model gave logits that are not numbers")
    if best == np.inf:
        return Uncertainty(0.0, np.inf)
    distances = logits[logits > -np.inf].astype(np.float64) - best
    weights = np.exp(distances)
    total = float(weights.sum())
    entropy = float(np.log(total)) - float(distances @ weights) / total
    return Uncertainty(max(0.0, entropy), _margin(distances))


def _margin(distances: NDArray[np.float64]) -> float:
    """Return the distance between the two largest, infinite if there is one only."""
    if len(distances) < 2:
        return float(np.inf)
    second, first = np.partition(distances, len(distances) - 2)[-2:]
    return float(first - second)
