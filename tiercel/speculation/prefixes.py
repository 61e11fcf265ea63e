"""Caches whose beginning a new sequence can start from: of open sessions, and of ended ones.

An open session's cache costs nothing more to share; of ended sessions the most recently used are
kept, up to a number of tokens. Used in the model's thread only.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.engines.language_model import Cache, LanguageModel

# A shorter beginning is not worth a copy.
_LEAST = 16
# What a cache is counted as at least: buffers start with room for about so many tokens.
_LEAST_COUNTED = 256


@dataclass(eq=False)
class _Shared:
    """A cache that holds the tokens of `key` at its beginning."""

    key: bytes
    cache: Cache
    is_kept: bool  # its session has ended
    last_used: int = 0

    @property
    def num_tokens(self) -> int:
        return len(self.key) // 4

    @property
    def num_counted(self) -> int:
        return max(self.num_tokens, _LEAST_COUNTED)


class PrefixStore:
    """Finds the longest beginning that a sequence has in common with one that is held.

    The sequences are sorted, so the one with the longest common beginning is a neighbour.
    """

    def __init__(self, model: LanguageModel, max_tokens: int) -> None:
        """Keep up to `max_tokens` tokens of ended sessions; 0 shares nothing at all."""
        self._model = model
        self._max_tokens = max_tokens if model.description.copies_prefixes else 0
        self._sorted: list[_Shared] = []
        self._live: dict[int, _Shared] = {}  # of open sessions, by the id of the cache
        self._num_uses = 0

    @property
    def num_kept_tokens(self) -> int:
        """Tokens of ended sessions that are held, counted as what their buffers take."""
        return sum(shared.num_counted for shared in self._sorted if shared.is_kept)

    def open(self, tokens: Sequence[int], num_fresh: int) -> Cache:
        """Return a new cache with as many of `tokens` as are known, all but the last `num_fresh`.

        The cache of an ended session is handed over if all of it is wanted, else copied.
        """
        key = _key(tokens[: max(0, len(tokens) - num_fresh)])
        shared = self._nearest(key)
        length = _num_common(key, shared.key) if shared else 0
        if shared is None or length < _LEAST:
            return self._model.open()
        if shared.is_kept and length == shared.num_tokens:
            self._sorted.remove(shared)
            return shared.cache
        self._use(shared)
        return self._model.open(shared.cache, length)

    def share(self, cache: Cache, tokens: Sequence[int]) -> None:
        """Let others start from an open session's cache, which holds `tokens` until `withdraw`."""
        if self._max_tokens:
            self.withdraw(cache)
            shared = self._live[id(cache)] = _Shared(_key(tokens), cache, is_kept=False)
            insort(self._sorted, shared, key=_by_key)

    def withdraw(self, cache: Cache) -> None:
        """Stop sharing an open session's cache."""
        shared = self._live.pop(id(cache), None)
        if shared is not None:
            self._sorted.remove(shared)

    def give_back(self, cache: Cache, tokens: Sequence[int]) -> None:
        """Keep or close the cache of a session that ends; it holds `tokens` at its beginning."""
        self.withdraw(cache)
        kept = tokens[: self._max_tokens]
        if len(kept) < _LEAST or self._is_known(_key(kept)):
            cache.close()
            return
        self._insert(self._cut_to(cache, len(kept)), _key(kept))
        self._evict()

    def forget_kept(self) -> None:
        """Close the caches of all ended sessions."""
        for shared in [shared for shared in self._sorted if shared.is_kept]:
            self._drop(shared)

    def _nearest(self, key: bytes) -> _Shared | None:
        place = bisect_left(self._sorted, key, key=_by_key)
        around = self._sorted[max(0, place - 1) : place + 1]
        return max(around, key=lambda shared: _num_common(key, shared.key), default=None)

    def _is_known(self, key: bytes) -> bool:
        """Return whether an ended session's sequence begins with `key`; that counts as a use."""
        place = bisect_left(self._sorted, key, key=_by_key)
        for shared in self._sorted[place:]:
            if not shared.key.startswith(key):
                return False
            if shared.is_kept:
                self._use(shared)
                return True
        return False

    def _cut_to(self, cache: Cache, length: int) -> Cache:
        """Return a cache of `length` tokens; a much longer one would hold on to its memory."""
        if cache.length < 2 * length:
            cache.truncate(length)
            return cache
        copied = self._model.open(cache, length)
        cache.close()
        return copied

    def _insert(self, cache: Cache, key: bytes) -> None:
        """Add an ended session's cache, in place of those that hold only its beginning."""
        place = bisect_left(self._sorted, key, key=_by_key)
        if place and self._sorted[place - 1].is_kept:
            before = self._sorted[place - 1]
            if key.startswith(before.key):
                self._drop(before)
        shared = _Shared(key, cache, is_kept=True)
        self._use(shared)
        insort(self._sorted, shared, key=_by_key)

    def _evict(self) -> None:
        while self.num_kept_tokens > max(self._max_tokens, _LEAST_COUNTED):
            kept = (shared for shared in self._sorted if shared.is_kept)
            self._drop(min(kept, key=lambda shared: shared.last_used))

    def _drop(self, shared: _Shared) -> None:
        self._sorted.remove(shared)
        shared.cache.close()

    def _use(self, shared: _Shared) -> None:
        self._num_uses += 1
        shared.last_used = self._num_uses


def _by_key(shared: _Shared) -> bytes:
    return shared.key


def _key(tokens: Sequence[int]) -> bytes:
    """Return bytes that sort as the tokens do, and begin alike as far as these do."""
    return np.asarray(tokens, ">u4").tobytes()


def _num_common(one: bytes, other: bytes) -> int:
    """Return how many tokens two keys have in common at their beginning."""
    size = min(len(one), len(other))
    differs = np.frombuffer(one[:size], ">u4") != np.frombuffer(other[:size], ">u4")
    return int(differs.argmax()) if differs.any() else size // 4
