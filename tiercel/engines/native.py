"""A language model on Tiercel's own CPU kernels, bitwise the same however a text is cut up.

The kernels (native/) work out each row by itself, in one fixed order of operations, so the bits
depend neither on the width of a pass nor on the other sequences in it, nor on the threads.
"""

import ctypes
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.bit_exactness import is_bit_exact
from tiercel.engines.checks import capped_length, check_logits, check_steps
from tiercel.engines.cores import available_cores
from tiercel.engines.graph import graph_positions
from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.engines.native_cache import NativeCache
from tiercel.engines.native_library import MAX_ROWS, build_for, kernels
from tiercel.engines.native_rows import NativeRows
from tiercel.engines.native_weights import NativeWeights
from tiercel.engines.numerics import instruction_set, numerics_id
from tiercel.errors import ModelUnavailable
from tiercel.models.weights import Weights
from tiercel.types import ModelDescription


class NativeModel:
    """A decoder of the llama family on quantized weights."""

    def __init__(
        self,
        name: str,
        weights: Weights,
        *,
        dtype: str = "int4",
        threads: int = 0,
        max_length: int | None = None,
    ) -> None:
        """Load the model; 0 threads means one for each core, no `max_length` means 4096 or less."""
        self._kernels = kernels()
        self._config = weights.config
        possible = graph_positions(self._config)
        self._max_length = possible  # the probe may need more than the cap
        held = capped_length(possible, max_length)
        self._weights = NativeWeights(weights, dtype)
        self._decoder = self._open_decoder(threads or available_cores())
        bit_exact = is_bit_exact(self, self._config.vocab_size)
        self._max_length = held
        self._description = ModelDescription(
            name=name,
            engine="native",
            dtype=dtype,
            vocab_size=self._config.vocab_size,
            max_length=held,
            numerics_id=_numerics_id(weights.digest, dtype),
            bit_exact=bit_exact,
            num_parameters=self._config.num_parameters,
            hidden_size=self._config.hidden_size,
            weights_digest=weights.digest,
            max_batch_rows=MAX_ROWS,
            copies_prefixes=True,
            takes_trees=True,
        )

    @property
    def description(self) -> ModelDescription:
        """What this model is."""
        return self._description

    def open(self, prefix: Cache | None = None, length: int = 0) -> NativeCache:
        """Return a new cache that starts as a copy of the first `length` tokens of `prefix`."""
        return NativeCache(self._config, None if prefix is None else _own(prefix), length)

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        """Append each step's tokens to its cache; rows of all steps share passes."""
        check_steps(
            steps,
            vocab_size=self._config.vocab_size,
            max_length=self._max_length,
            takes_trees=True,
        )
        caches = [_own(step.cache) for step in steps]
        for cache, step in zip(caches, steps, strict=True):
            cache.reserve(len(step.tokens))
        ends = np.cumsum([step.num_logits for step in steps])
        logits, hidden = self._run(NativeRows(steps, caches), int(ends[-1]))
        check_logits(logits)
        for cache, step, end in zip(caches, steps, ends, strict=True):
            cache.advance(len(step.tokens))
            if step.hidden is not None:
                step.hidden[:] = hidden[end - step.num_logits : end]
        return np.split(logits[:, : self._config.vocab_size], ends[:-1])

    def close(self) -> None:
        """Give back the weights; caches of this model may not be used afterwards."""
        self._kernels.decoder_close(self._decoder)
        del self._decoder, self._weights

    def _run(self, rows: NativeRows, num_wanted: int) -> tuple[Logits, NDArray[np.float32]]:
        """Return the logits, as wide as the head's panels, and the hidden states of wanted rows."""
        logits = np.empty((num_wanted, self._weights.model.head.outputs), np.float32)
        hidden = np.empty((num_wanted, self._config.hidden_size), np.float32)
        done = 0
        for start in range(0, len(rows), MAX_ROWS):
            with rows.part(start, logits[done:], hidden[done:]) as part:
                self._kernels.decoder_run(self._decoder, ctypes.addressof(part))
                done += part.num_wanted
        return logits, hidden

    def _open_decoder(self, threads: int) -> int:
        decoder = self._kernels.decoder_open(ctypes.addressof(self._weights.model), threads)
        if decoder is None:
            raise ModelUnavailable("no memory for the native engine")
        return int(decoder)


def _numerics_id(digest: str, dtype: str) -> str:
    library = build_for(instruction_set())
    build = hashlib.sha256(library.read_bytes()).hexdigest()
    return numerics_id(digest, dtype, f"native {build}", "cpu")


def _own(cache: Cache) -> NativeCache:
    if not isinstance(cache, NativeCache) or cache.closed:
        raise ValueError("this cache is closed or of another engine")
    return cache
