"""Distributions over a few tokens of a vocabulary: what a drafter draws from and sends.

A drafter truncates its distribution, rounds it to what it sends, and draws from exactly that. So
what the verifier divides by is what the token was drawn from, to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding.sampling import best_of, candidates
from tiercel.errors import InvalidRequest
from tiercel.types import SamplingParams

MAX_SUPPORT = 64
"""A drafter sends the probabilities of so many tokens at most: 512 bytes for each draft token."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TokenDistribution:
    """Probabilities of some tokens; all others have none."""

    token_ids: NDArray[np.intp]  # ascending, each once
    probs: NDArray[np.float32] | _Floats  # as sent, in single precision, or as computed

    @classmethod
    def of(cls, token_ids: Sequence[int], probs: Sequence[float]) -> "TokenDistribution":
        """Return what was received; `check_draft` says whether it is a distribution.

        Raises InvalidRequest unless there is one probability for each token.
        """
        if len(token_ids) != len(probs):
            why = f"must be one for each of {len(token_ids)} tokens"
            raise InvalidRequest("distributions.probs", len(probs), why)
        order = np.argsort(np.asarray(token_ids, dtype=np.intp), kind="stable")
        return cls(
            np.asarray(token_ids, dtype=np.intp)[order],
            np.asarray(probs, dtype=np.float32)[order],
        )

    @classmethod
    def certain(cls, token_id: int) -> "TokenDistribution":
        """Return the distribution of one token that has all probability."""
        return cls(np.array([token_id]), np.ones(1, dtype=np.float32))

    @cached_property
    def shares(self) -> _Floats:
        """The probabilities in double precision, scaled so that they add up to 1."""
        probs = self.probs.astype(np.float64)
        total: _Floats = probs / probs.sum()
        return total

    def prob(self, token_id: int) -> float:
        """Return the probability of one token."""
        place = int(np.searchsorted(self.token_ids, token_id))
        is_there = place < len(self.token_ids) and self.token_ids[place] == token_id
        return float(self.shares[place]) if is_there else 0.0

    def at(self, uniform: float) -> int:
        """Return the token in which `uniform`, in (0, 1), falls; one of probability 0 never."""
        mass = np.cumsum(self.shares)
        place = int(np.searchsorted(mass, uniform * mass[-1], side="right"))
        last = int(np.searchsorted(mass, mass[-1]))  # where rounding would lead past the end
        return int(self.token_ids[min(place, last)])


def renamed(distribution: TokenDistribution, ids: NDArray[np.intp]) -> TokenDistribution:
    """Return a distribution over the tokens of another vocabulary (TLI, arXiv:2502.05202).

    `ids`, shape [vocab_size], has the other's id for each token, -1 where it has none: what these
    had is shared out, so this is the law of a token that was drawn and turned out to have an id.
    Raises InvalidRequest if none of the tokens has one.
    """
    others = ids[distribution.token_ids]
    known, places = np.unique(others[others >= 0], return_inverse=True)
    if not len(known):
        raise InvalidRequest("distributions", distribution.token_ids.tolist(), "none has an id")
    probs = np.bincount(places, weights=distribution.shares[others >= 0])
    return TokenDistribution(known, probs / probs.sum())


def draft_distribution(
    logits: NDArray[np.float32], params: SamplingParams, support: int = MAX_SUPPORT
) -> TokenDistribution:
    """Return what a drafter draws from and sends: at most the `support` best tokens.

    The tempered distribution, with that as its top-k if `params` ask for no smaller one, in single
    precision, as on the wire; one token at temperature 0. Raises ModelFault for NaN or no finite
    logit.
    """
    top_k = min(params.top_k, support) if params.top_k else support
    ids, scores = candidates(logits, replace(params, top_k=top_k))
    weights = np.exp(scores)
    return TokenDistribution(ids, (weights / weights.sum()).astype(np.float32))


def model_probs(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax of a row of logits: the model's own probabilities, at temperature 1.

    In single precision, over the whole vocabulary: a third of the time of sorting out in double
    precision what can be left out. Raises ModelFault for NaN or no finite logit.
    """
    best_id, best = best_of(logits)
    if best == np.inf:
        certain = np.zeros(len(logits), dtype=np.float32)
        certain[best_id] = 1.0
        return certain
    weights: NDArray[np.float32] = np.exp(logits - np.float32(best))
    weights /= np.float32(weights.sum(dtype=np.float64))
    return weights


def excess(
    target: TokenDistribution, draft: TokenDistribution, scale: float = 1.0
) -> tuple[_Floats, float]:
    """Return max(0, scale * target_probs - draft_probs) at the target's tokens, and its sum.

    With scale 1 the sum is the total variation of the two.
    """
    return beyond(target, scale, draft.token_ids, draft.shares)


def total_variation(one: TokenDistribution, other: TokenDistribution) -> float:
    """Return half the sum of |one - other|: 0 for equal distributions, 1 for disjoint ones."""
    return excess(one, other)[1]


def beyond(
    target: TokenDistribution, scale: float, token_ids: NDArray[np.intp], amounts: _Floats
) -> tuple[_Floats, float]:
    """Return max(0, scale * target_probs - amounts of some tokens), as `excess` does."""
    left = scale * target.shares
    places = np.searchsorted(target.token_ids, token_ids)
    np.minimum(places, len(left) - 1, out=places)
    both = target.token_ids[places] == token_ids
    left[places[both]] -= amounts[both]
    np.maximum(left, 0.0, out=left)
    return left, float(left.sum())
