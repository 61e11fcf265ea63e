"""Builds an n-gram table: counts, calibrates, and keeps the contexts that a look-up gains by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.distillation.ngram_calibration import calibrated, located
from tiercel.distillation.ngram_counts import Contexts, Texts, count
from tiercel.engines.ngram_file import ENTRIES_PER_BUCKET, Keys, NgramArrays, places_of
from tiercel.errors import InvalidRequest

_HEADER_BYTES = 4096  # at most


@dataclass(frozen=True)
class Bounds:
    """How large a table may be, and what is worth an entry."""

    max_order: int = 4
    max_bytes: int = 8_000_000
    min_confidence: float = 0.15  # entries below it are kept only to overrule a shorter context
    min_difference: float = 0.04  # in confidence, from what the next shorter context says


@dataclass(frozen=True)
class _Entries:
    keys: Keys
    tokens: NDArray[np.uint64]
    confidences: NDArray[np.float64]
    worths: NDArray[np.float64]  # look-ups that are better for it, in the recording

    def part(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> "_Entries":
        return _Entries(
            self.keys[kept], self.tokens[kept], self.confidences[kept], self.worths[kept]
        )


def build(texts: Texts, vocab_size: int, bounds: Bounds) -> NgramArrays:
    """Return the table of what follows what; raises InvalidRequest if no context is worth it."""
    entries = _Table(texts, bounds).entries()
    token_bytes = 2 if vocab_size <= 1 << 16 else 4
    entry_bytes = 3 + token_bytes + 4 / ENTRIES_PER_BUCKET
    room = int((bounds.max_bytes - _HEADER_BYTES) / entry_bytes)
    if len(entries.keys) > room:
        entries = entries.part(np.argsort(-entries.worths, kind="stable")[:room])
    if not len(entries.keys):
        raise InvalidRequest("recording", len(texts.tokens), "tokens are too few for a table")
    return _packed(entries, np.dtype(f"uint{8 * token_bytes}"))


class _Table:
    """What a look-up finds at each position of the recording, order by order."""

    def __init__(self, texts: Texts, bounds: Bounds) -> None:
        self._texts, self._bounds = texts, bounds
        self._tokens = np.full(len(texts.tokens), np.iinfo(np.uint64).max)
        self._confidences = np.zeros(len(texts.tokens))

    def entries(self) -> _Entries:
        """Return the contexts worth an entry, of all orders."""
        texts, most = self._texts, self._bounds.max_order
        curves = calibrated(texts, most)
        parts = [
            self._kept(contexts, curve(contexts.likelihoods), positions, keys)
            for contexts, curve, (positions, keys) in zip(
                count(texts, most), curves, texts.contexts(most), strict=True
            )
        ]
        columns = ("keys", "tokens", "confidences", "worths")
        return _Entries(*(np.concatenate([getattr(p, c) for p in parts]) for c in columns))

    def _kept(
        self,
        contexts: Contexts,
        confidences: NDArray[np.float64],
        positions: NDArray[np.int64],
        keys: Keys,
    ) -> _Entries:
        shorter = self._confidences[contexts.positions]
        is_other = contexts.tokens != self._tokens[contexts.positions]
        difference = np.where(is_other, np.maximum(confidences, shorter), confidences - shorter)
        is_kept = np.abs(difference) >= self._bounds.min_difference
        is_kept &= np.maximum(confidences, shorter) >= self._bounds.min_confidence
        which = located(contexts, keys)
        num_uses = np.bincount(which, minlength=len(contexts.keys)).astype(np.float64)
        worths = num_uses * np.abs(difference)
        found = positions[is_kept[which]], which[is_kept[which]]
        self._tokens[found[0]] = contexts.tokens[found[1]]
        self._confidences[found[0]] = confidences[found[1]]
        return _Entries(contexts.keys, contexts.tokens, confidences, worths).part(is_kept)


def _packed(entries: _Entries, token_type: np.dtype[np.unsignedinteger]) -> NgramArrays:
    num_buckets = max(1, len(entries.keys) // ENTRIES_PER_BUCKET)
    buckets, marks = places_of(entries.keys, num_buckets)
    order = np.argsort(buckets, kind="stable")
    ends = np.cumsum(np.bincount(buckets, minlength=num_buckets))
    return NgramArrays(
        offsets=np.append(0, ends).astype(np.uint32),
        marks=marks[order],
        tokens=entries.tokens[order].astype(token_type),
        confidences=np.round(255 * entries.confidences[order]).astype(np.uint8),
    )
