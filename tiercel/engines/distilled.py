"""A distilled drafter on ONNX Runtime: follows one target, a row of it at a time or many."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from tiercel.decoding import Vocabulary
from tiercel.engines.distilled_file import (
    MANIFEST_FILE,
    VOCABULARY_FILE,
    read_drafter_manifest,
)
from tiercel.engines.graph_file import GRAPH_FILE
from tiercel.engines.onnx_cache import OnnxCache
from tiercel.errors import ModelUnavailable

_SHIPPED = Path(__file__).parent.parent / "drafters"

Floats = NDArray[np.float32]


class DistilledModel:
    """The drafter of one folder. Not thread-safe."""

    def __init__(self, name: str, *, threads: int = 1) -> None:
        """Load the drafter called `name`, one that comes with tiercel, or a folder.

        Raises ModelUnavailable.
        """
        folder = drafter_folder(name)
        self.manifest = read_drafter_manifest(folder)
        self._config = self.manifest.shape.config()
        try:
            tables = load_file(folder / VOCABULARY_FILE)
        except (OSError, SafetensorError) as error:
            raise ModelUnavailable(f"{folder} cannot be loaded: {error}") from None
        self._session = _opened(folder / GRAPH_FILE, threads)
        self._ids = tables["ids"].astype(np.int64)
        self._rows = np.full(self.manifest.vocab_size, len(self._ids), np.int64)
        self._rows[self._ids] = np.arange(len(self._ids))
        self.widths = tables["widths"].astype(np.int64)
        proposable = self._ids[: self.manifest.shape.num_outputs]
        self.vocabulary = Vocabulary(tables["hashes"][proposable], self.widths[proposable])
        packed = (self._config.num_heads + 2 * self._config.num_kv_heads) * self._config.head_dim
        self._padding = np.zeros((0, packed), np.float32)

    @property
    def max_length(self) -> int:
        """Rows that a cache holds."""
        return self._config.context_length

    def open(self) -> OnnxCache:
        """Return a new, empty cache."""
        return OnnxCache(self._session, self._config, most=self.max_length)

    def token_id(self, output: int) -> int:
        """Return the token id of a place in the logits."""
        return int(self._ids[output])

    def extend(
        self, cache: OnnxCache, token_ids: list[int], hidden: Floats | None
    ) -> tuple[Floats, Floats]:
        """Append tokens, `hidden` [tokens, hidden_size] being the target's state before each.

        Returns the state and the logits that follow the last one: [hidden_size], [num_outputs].
        A drafter of tokens alone takes no `hidden`.
        """
        count = len(token_ids)
        state = np.empty((1, self._config.hidden_size), np.float32)
        logits = np.empty((1, self._config.vocab_size), np.float32)
        binding = cache.prepared(count)
        total = cache.length + count
        binding.bind_cpu_input("input_ids", self._rows[token_ids])
        if hidden is not None:
            binding.bind_cpu_input("hidden", hidden)
        binding.bind_cpu_input("padding", self._padding)
        binding.bind_cpu_input("seqlens_k", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total_sequence_length", np.array(total, np.int32))
        binding.bind_cpu_input("logit_positions", np.array([count - 1]))
        for name, rows in (("logits", logits), ("logit_rows", state)):
            binding.bind_output(name, "cpu", 0, np.float32, rows.shape, rows.ctypes.data)
        self._session.run_with_iobinding(binding)
        cache.advance(count)
        return state[0], logits[0]


def _opened(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    if not graph.is_file():
        raise ModelUnavailable(f"{graph} is not there")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def drafter_folder(name: str) -> Path:
    """Return the folder of a drafter; raises ModelUnavailable if there is none of that name."""
    for folder in (_SHIPPED / name, Path(name).expanduser()):
        if name and folder.is_dir():
            return folder
    manifests = _SHIPPED.glob(f"*/{MANIFEST_FILE}")
    shipped = ", ".join(sorted(path.parent.name for path in manifests)) or "none"
    raise ModelUnavailable(f"no drafter {name!r}: neither a folder nor one that is here: {shipped}")
