"""Counts of n-grams in recorded answers, and how likely each token is behind each context.

Interpolated absolute discounting with three discounts (Chen and Goodman 1999, "modified
Kneser-Ney", over plain counts at every order). A context and its next token count once for all
answers to one prompt: a loop is no evidence for other prompts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.ngram_file import Keys, keys_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_MIX = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Texts:
    """Answers end to end; each array has an element for each token."""

    tokens: NDArray[np.uint64]
    best: NDArray[np.uint64]  # what the target held likeliest there: in a sample, not the token
    prompts: Ints  # that are answered, numbered from 0 on
    places: Ints  # in the answer

    @classmethod
    def of(
        cls,
        answers: Sequence[Sequence[int]],
        prompts: Sequence[int],
        best: Sequence[Sequence[int]] | None = None,
    ) -> "Texts":
        """Lay the answers' token ids end to end; `prompts[i]` is answered by answer i.

        Without `best` the target is taken to have held likeliest what it said.
        """
        lengths = np.array([len(answer) for answer in answers], np.int64)
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        tokens = _joined(answers)
        return cls(
            tokens=tokens,
            best=tokens if best is None else _joined(best),
            prompts=np.repeat(np.asarray(prompts, np.int64), lengths),
            places=np.arange(len(tokens)) - starts,
        )

    def part(self, kept: NDArray[np.bool_]) -> "Texts":
        """Return the answers to the prompts whose element of `kept` is true."""
        is_kept = kept[self.prompts]
        return Texts(*(getattr(self, field.name)[is_kept] for field in fields(self)))

    def contexts(self, max_order: int) -> Iterator[tuple[Ints, Keys]]:
        """Yield for each order from 1 on the positions that have a context, and its keys."""
        keys = np.zeros(len(self.tokens), np.uint64)
        for order in range(1, max_order + 1):
            positions = np.flatnonzero(self.places >= order)
            keys[positions] = keys_of(keys[positions], self.tokens[positions - order])
            yield positions, keys[positions]


@dataclass(frozen=True)
class Contexts:
    """The contexts of one order, by rising key, each with its likeliest next token."""

    keys: Keys
    tokens: NDArray[np.uint64]
    likelihoods: Floats
    positions: Ints  # where each occurs with that token


def count(texts: Texts, max_order: int) -> Iterator[Contexts]:
    """Yield the contexts of each order, shortest first."""
    likelihoods = _unigram(texts)
    for positions, keys in texts.contexts(max_order):
        yield _counted(texts, positions, keys, likelihoods)


def _unigram(texts: Texts) -> Floats:
    """Return each token's share of all tokens, at each position."""
    return np.bincount(texts.best.astype(np.int64))[texts.best] / len(texts.best)


def _counted(texts: Texts, positions: Ints, keys: Keys, likelihoods: Floats) -> Contexts:
    """Count one order; raises `likelihoods`, per position, from the order below to this one."""
    tokens, prompts = texts.best[positions], texts.prompts[positions]
    pair_keys = (keys ^ keys >> np.uint64(31)) * _MIX + tokens
    order = np.lexsort((prompts, pair_keys))
    is_first = _changes(pair_keys[order])
    is_counted = is_first | _changes(prompts[order])
    counts = np.add.reduceat(is_counted, np.flatnonzero(is_first), dtype=np.int64)
    firsts = order[is_first]  # one position of each pair of a context and a token
    shares = _interpolated(keys[firsts], counts, likelihoods[positions[firsts]])
    likelihoods[positions[order]] = shares[np.cumsum(is_first) - 1]
    best = np.lexsort((shares, keys[firsts]))
    best = best[np.roll(_changes(keys[firsts][best]), -1)]  # the last of each context
    chosen = firsts[best]
    return Contexts(keys[chosen], tokens[chosen], shares[best], positions[chosen])


def _interpolated(keys: Keys, counts: Ints, below: Floats) -> Floats:
    """Return each pair's likelihood, from its count and its likelihood at the order below."""
    _, which = np.unique(keys, return_inverse=True)
    totals = np.bincount(which, counts)
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    freed = np.bincount(which, discounts) / totals
    return (counts - discounts) / totals[which] + freed[which] * below


def _discounts(counts: Ints) -> Floats:
    """Return what is taken off a count of 0, 1, 2 and of 3 or more.

    Few counts make wild discounts. They are bounded so that a larger count keeps no smaller share:
    of two contexts that always go on alike, the one seen more often is never less sure.
    """
    once, twice, thrice, four = (max(1, int(np.sum(counts == number))) for number in (1, 2, 3, 4))
    ratio = once / (once + 2 * twice)
    first = np.clip(1 - 2 * ratio * twice / once, 0.1, 0.95)
    second = np.clip(2 - 3 * ratio * thrice / twice, 0.1, 2 * first)
    third = np.clip(3 - 4 * ratio * four / thrice, 0.1, 1.5 * second)
    return np.array([0.0, first, second, third])


def _joined(parts: Sequence[Sequence[int]]) -> NDArray[np.uint64]:
    """Return the elements of all parts as one array."""
    return np.fromiter(chain.from_iterable(parts), np.uint64, sum(map(len, parts)))


def _changes(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where a value differs from the one before it; the first does."""
    is_other = np.ones(len(values), np.bool_)
    is_other[1:] = values[1:] != values[:-1]
    return is_other
