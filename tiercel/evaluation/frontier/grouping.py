"""Near duplicates by MinHash over words (Broder 1997): what stands in one group is never split."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

SIMILAR = 0.6  # Jaccard's index of two prompts' word triples
_WIDTH = 3
_BANDS, _ROWS = 20, 3  # at 0.6 one band agrees with a chance of 0.99
_HIGH = np.uint64(32)
_WORD = re.compile(r"\w+")


def near_duplicates(texts: Sequence[str], similar: float = SIMILAR) -> list[int]:
    """Return a group's number for each text; texts that are at least so similar share one.

    Candidates are found by MinHash and checked exactly. Groups are joined over several steps.
    """
    shingles = [_shingles(text) for text in texts]
    groups = _Groups(len(texts))
    for at, other in _candidates(shingles):
        apart = groups.root(at) != groups.root(other)
        if apart and _jaccard(shingles[at], shingles[other]) >= similar:
            groups.join(at, other)
    return [groups.root(at) for at in range(len(texts))]


class _Groups:
    """Disjoint sets; each is named by its first member."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def root(self, at: int) -> int:
        while self._parents[at] != at:
            self._parents[at] = self._parents[self._parents[at]]
            at = self._parents[at]
        return at

    def join(self, at: int, other: int) -> None:
        low, high = sorted((self.root(at), self.root(other)))
        self._parents[high] = low


def _shingles(text: str) -> Hashes:
    """Return the hashes of all runs of three words, each once; of all words in a short text."""
    words = _WORD.findall(text.lower())
    width = min(_WIDTH, max(1, len(words)))
    runs = {" ".join(words[at : at + width]) for at in range(max(1, len(words) - width + 1))}
    return np.array(sorted(crc32(run.encode()) for run in runs), np.uint64)


def _jaccard(one: Hashes, other: Hashes) -> float:
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def _candidates(shingles: Sequence[Hashes]) -> Iterable[tuple[int, int]]:
    """Yield neighbours of every bucket of every band."""
    signatures = _signatures(shingles)
    for band in range(_BANDS):
        rows = signatures[:, band * _ROWS : (band + 1) * _ROWS]
        buckets = defaultdict(list)
        for at, row in enumerate(rows):
            buckets[row.tobytes()].append(at)
        for members in buckets.values():
            yield from pairwise(members)


def _signatures(shingles: Sequence[Hashes]) -> Hashes:
    """Return the least of each random hash over each text's shingles, [texts, hashes]."""
    random = np.random.default_rng(0)
    count = _BANDS * _ROWS
    # Multiply, add and shift (Dietzfelbinger 1996); products wrap around 2^64.
    factors, offsets = random.integers(0, 1 << 64, (2, count), dtype=np.uint64)
    values = np.concatenate(shingles)
    starts = np.cumsum([0, *(len(one) for one in shingles[:-1])])
    columns = [
        np.minimum.reduceat((values * factor + offset) >> _HIGH, starts)
        for factor, offset in zip(factors, offsets, strict=True)
    ]
    return np.stack(columns, axis=1)
