"""A language model on ONNX Runtime's CPU kernels, bitwise the same however a text is cut up.

GroupQueryAttention takes another kernel for a pass of width 1, whose bits differ from those of any
wider pass. So the attention never runs at width 1: a lone token gets a row of padding beside it,
whose cache entry lies behind the last token and is overwritten by the next pass. That costs
nothing measurable, for every other operator sees one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tiercel.engines.bit_exactness import is_bit_exact
from tiercel.engines.checks import capped_length, check_logits, check_prefix, check_steps
from tiercel.engines.cores import available_cores
from tiercel.engines.graph import graph_positions
from tiercel.engines.graph_store import BUILDER_VERSION, built_graph
from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.engines.numerics import numerics_id
from tiercel.engines.onnx_cache import OnnxCache
from tiercel.models.weights import Weights
from tiercel.types import ModelDescription

# Rows of one pass: bounds the memory of a long prompt's activations. The attention works through
# wider passes in blocks of 64 rows and more, and one row left over runs as if it were alone.
_CHUNK = 64


@dataclass(frozen=True)
class _Rows:
    """What passes write: logits [rows, vocab_size] and the head's input [rows, hidden_size]."""

    logits: Logits
    hidden: NDArray[np.float32]

    def part(self, start: int, count: int) -> "_Rows":
        return _Rows(self.logits[start : start + count], self.hidden[start : start + count])


class OnnxModel:
    """A decoder of the llama family as an ONNX Runtime session."""

    def __init__(
        self,
        name: str,
        weights: Weights,
        *,
        dtype: str = "int8",
        threads: int = 0,
        max_length: int | None = None,
    ) -> None:
        """Load the model; 0 threads means one for each core, no `max_length` means 4096 or less."""
        self._config = weights.config
        possible = graph_positions(self._config)
        held = capped_length(possible, max_length)
        self._session = _open_session(built_graph(weights, dtype), threads)
        self._pads_whole_row = False
        packed = (self._config.num_heads + 2 * self._config.num_kv_heads) * self._config.head_dim
        self._padding = [np.zeros((count, packed), np.float32) for count in (0, 1)]
        self._max_length = possible  # the probe may need more than the cap
        bit_exact = self._find_exact_padding()
        self._max_length = held
        self._description = ModelDescription(
            name=name,
            engine="onnx",
            dtype=dtype,
            vocab_size=self._config.vocab_size,
            max_length=held,
            numerics_id=self._numerics_id(weights.digest, dtype),
            bit_exact=bit_exact,
            num_parameters=self._config.num_parameters,
            hidden_size=self._config.hidden_size,
            weights_digest=weights.digest,
            copies_prefixes=True,
        )

    @property
    def description(self) -> ModelDescription:
        """What this model is."""
        return self._description

    def open(self, prefix: Cache | None = None, length: int = 0) -> OnnxCache:
        """Return a new cache that starts as a copy of the first `length` tokens of `prefix`."""
        cache = OnnxCache(self._session, self._config, most=self._max_length + 1)
        if prefix is not None:
            source = _own(prefix)
            check_prefix(source.length, length)
            cache.adopt(source, length)
        return cache

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        """Append each step's tokens to its cache, one step after the other."""
        check_steps(steps, vocab_size=self._config.vocab_size, max_length=self._max_length)
        return [self._extend_one(step) for step in steps]

    def close(self) -> None:
        """Give back the session; caches of this model may not be used afterwards."""
        del self._session

    def _find_exact_padding(self) -> bool:
        """Return whether the bits do not depend on the width; settles how lone tokens are padded.

        On a machine where another operator too has a kernel of its own for width 1, the whole
        row is padded.
        """
        for self._pads_whole_row in (False, True):
            if is_bit_exact(self, self._config.vocab_size):
                return True
        return False

    def _extend_one(self, step: Step) -> Logits:
        cache = _own(step.cache)
        before = cache.length
        tokens = np.asarray(step.tokens, np.int64)
        out = _Rows(
            np.empty((step.num_logits, self._config.vocab_size), np.float32),
            np.empty((step.num_logits, self._config.hidden_size), np.float32),
        )
        first_row = len(tokens) - step.num_logits
        for start in range(0, len(tokens), _CHUNK):
            chunk = tokens[start : start + _CHUNK]
            wanted = np.arange(max(first_row - start, 0), len(chunk))
            row = start + len(chunk) - len(wanted) - first_row
            self._pass(cache, chunk, wanted, out.part(row, len(wanted)))
        try:
            check_logits(out.logits)
        except Exception:
            cache.truncate(before)
            raise
        if step.hidden is not None:
            step.hidden[:] = out.hidden
        return out.logits

    def _pass(
        self, cache: OnnxCache, tokens: NDArray[np.int64], wanted: NDArray[np.int64], out: "_Rows"
    ) -> None:
        """Run one pass over `tokens` and write what comes of the `wanted` rows into `out`."""
        count = len(tokens)
        lone = count == 1
        if lone and self._pads_whole_row:
            tokens = np.repeat(tokens, 2)
        num_padding = 1 if lone and not self._pads_whole_row else 0
        entries = count + lone
        binding = cache.prepared(entries)
        total = cache.length + entries
        binding.bind_cpu_input("input_ids", tokens)
        binding.bind_cpu_input("padding", self._padding[num_padding])
        binding.bind_cpu_input("seqlens_k", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total_sequence_length", np.array(total, np.int32))
        binding.bind_cpu_input("logit_positions", wanted)
        for name, rows in (("logits", out.logits), ("logit_rows", out.hidden)):
            binding.bind_output(name, "cpu", 0, np.float32, rows.shape, rows.ctypes.data)
        self._session.run_with_iobinding(binding)
        cache.advance(count)

    def _numerics_id(self, digest: str, dtype: str) -> str:
        return numerics_id(
            digest,
            dtype,
            f"graph {BUILDER_VERSION}",
            f"onnxruntime {onnxruntime.__version__}",
            f"pads {'rows' if self._pads_whole_row else 'attention'}",
            "cpu",
        )


def _own(cache: Cache) -> OnnxCache:
    if not isinstance(cache, OnnxCache) or cache.closed:
        raise ValueError("this cache is closed or of another engine")
    return cache


def _open_session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    # The runtime's own choice would pin its threads to cores, the same ones in every process.
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    # A spinning thread would take a core from the other tiers of this machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
