"""From how likely a count makes a guess to how often such guesses are right on unseen answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.distillation.ngram_counts import Contexts, Floats, Texts, count
from tiercel.engines.ngram_file import Keys

_FOLDS = 5
_BINS = 40  # of equal numbers of guesses


@dataclass(frozen=True)
class Guesses:
    """Guesses about unseen answers, each from the longest context that was counted."""

    orders: NDArray[np.int64]  # of each guess's context
    likelihoods: Floats
    hits: NDArray[np.bool_]


@dataclass(frozen=True)
class Curve:
    """A rising map from likelihoods to shares of guesses that were right."""

    likelihoods: Floats
    shares: Floats

    def __call__(self, likelihoods: Floats) -> Floats:
        """Return the share for each likelihood, between the points on straight lines."""
        return np.interp(likelihoods, self.likelihoods, self.shares)


def calibrated(texts: Texts, max_order: int) -> list[Curve]:
    """Return a curve for each order from 1 on, measured on prompts left out of the counts."""
    parts = list(_unseen(texts, max_order))
    orders = np.concatenate([part.orders for part in parts])
    likelihoods = np.concatenate([part.likelihoods for part in parts])
    hits = np.concatenate([part.hits for part in parts])
    return [
        curve(likelihoods[orders == order], hits[orders == order])
        for order in range(1, max_order + 1)
    ]


def curve(likelihoods: Floats, hits: NDArray[np.bool_]) -> Curve:
    """Return the rising curve nearest to the hits (isotonic regression, in bins).

    Without a guess to go by it is zero everywhere.
    """
    order = np.argsort(likelihoods, kind="stable")
    bins = [part for part in np.array_split(order, _BINS) if len(part)]
    if not bins:
        return Curve(np.zeros(1), np.zeros(1))
    # Half a hit and half a miss more: a few hits are no certainty.
    shares = [(hits[part].sum() + 0.5) / (len(part) + 1) for part in bins]
    means = np.array([likelihoods[part].mean() for part in bins])
    return Curve(means, rising(shares, [len(part) for part in bins]))


def rising(values: Sequence[float], weights: Sequence[float]) -> Floats:
    """Return the nondecreasing sequence nearest to `values` (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        pool = (float(value), float(weight), 1)
        while pools and pools[-1][0] >= pool[0]:
            mean, heavy, length = pools.pop()
            both = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / both, both, length + pool[2])
        pools.append(pool)
    means, _, lengths = zip(*pools, strict=True)
    return np.repeat(means, lengths)


def located(contexts: Contexts, keys: Keys) -> NDArray[np.int64]:
    """Return the index of each key's context, -1 for one that was not counted."""
    if not len(contexts.keys):
        return np.full(len(keys), -1)
    found = np.minimum(np.searchsorted(contexts.keys, keys), len(contexts.keys) - 1)
    return np.where(contexts.keys[found] == keys, found, -1)


def _unseen(texts: Texts, max_order: int) -> Iterator[Guesses]:
    folds = np.arange(texts.prompts.max(initial=0) + 1) % _FOLDS
    for fold in range(_FOLDS):
        counted = texts.part(folds != fold)
        yield guessed(count(counted, max_order), texts.part(folds == fold), max_order)


def guessed(counts: Iterator[Contexts], texts: Texts, max_order: int) -> Guesses:
    """Guess every token of `texts` that has a known context."""
    orders = np.zeros(len(texts.tokens), np.int64)
    likelihoods, guesses = np.zeros(len(orders)), np.zeros(len(orders), np.uint64)
    for order, (contexts, (positions, keys)) in enumerate(
        zip(counts, texts.contexts(max_order), strict=True), start=1
    ):
        found = located(contexts, keys)
        known, found = positions[found >= 0], found[found >= 0]
        orders[known] = order
        likelihoods[known], guesses[known] = contexts.likelihoods[found], contexts.tokens[found]
    known = np.flatnonzero(orders)
    return Guesses(orders[known], likelihoods[known], guesses[known] == texts.best[known])
