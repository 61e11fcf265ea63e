"""The rows of a forward pass, all steps' tokens one after the other, as the kernels take them."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.language_model import Step
from tiercel.engines.native_cache import NativeCache
from tiercel.engines.native_library import MAX_ROWS, Pass, SequenceMemory
from tiercel.engines.trees import depths

Ints = NDArray[np.int32]


class NativeRows:
    """Which token goes where in which cache, and which rows give logits."""

    def __init__(self, steps: Sequence[Step], caches: Sequence[NativeCache]) -> None:
        """Lay out the steps; a tree's branches are made in its cache."""
        self._tokens: list[int] = []
        self._sequences: list[int] = []
        self._positions: list[int] = []
        self._shared: list[tuple[int, int]] = []  # rows, and further sequences that they are in
        self._memories: list[SequenceMemory] = []
        for step, cache in zip(steps, caches, strict=True):
            if step.parents is None:
                self._add_path(len(step.tokens), cache)
            else:
                self._add_tree(step.parents, cache)
            self._tokens += step.tokens
            self._memories += cache.memory
        wanted = [np.arange(len(s.tokens)) >= len(s.tokens) - s.num_logits for s in steps]
        self._are_wanted = np.concatenate(wanted)
        self._rows = _ints([self._tokens, self._sequences, self._positions])
        self._caches = (SequenceMemory * len(self._memories))(*self._memories)

    def __len__(self) -> int:
        return len(self._tokens)

    @contextmanager
    def part(
        self, start: int, logits: NDArray[np.float32], hidden: NDArray[np.float32]
    ) -> Iterator[Pass]:
        """Give the pass over as many rows as it takes, from `start` on, and where it writes to."""
        tokens, sequences, positions = np.ascontiguousarray(self._rows[:, start : start + MAX_ROWS])
        end = start + len(tokens)
        wanted = np.flatnonzero(self._are_wanted[start:end]).astype(np.int32)
        within = [(row - start, other) for row, other in self._shared if start <= row < end]
        shared_rows, shared_sequences = _ints(within).reshape(-1, 2).T.copy()
        yield Pass(
            num_rows=len(tokens),
            num_wanted=len(wanted),
            num_shared=len(within),
            caches=ctypes.addressof(self._caches),
            sequences=sequences.ctypes.data,
            tokens=tokens.ctypes.data,
            positions=positions.ctypes.data,
            wanted=wanted.ctypes.data,
            shared_rows=shared_rows.ctypes.data,
            shared_sequences=shared_sequences.ctypes.data,
            logits=logits.ctypes.data,
            hidden=hidden.ctypes.data,
        )

    def _add_path(self, count: int, cache: NativeCache) -> None:
        self._sequences += [len(self._memories)] * count
        self._positions += range(cache.length, cache.length + count)

    def _add_tree(self, parents: Sequence[int], cache: NativeCache) -> None:
        """A token lies in the first branch that it is on, and is shared with the others."""
        row, first = len(self._tokens), len(self._memories)
        sequence_of: dict[int, int] = {}
        for sequence, path in enumerate(cache.branch(parents), first):
            for place in path:
                if sequence_of.setdefault(place, sequence) != sequence:
                    self._shared.append((row + place, sequence))
        self._sequences += [sequence_of[place] for place in range(len(parents))]
        self._positions += [cache.length + depth for depth in depths(parents)]


def _ints(values: object) -> Ints:
    return np.array(values, np.int32)
