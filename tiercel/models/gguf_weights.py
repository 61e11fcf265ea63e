"""Weights out of a GGUF file: its metadata as a ModelConfig, its tensors dense or in blocks."""

import hashlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from gguf import GGUFReader, ReaderTensor
from gguf.quants import dequantize
from numpy.typing import NDArray

from tiercel.errors import ModelUnavailable
from tiercel.models.blocks import QuantizedBlocks, quantized
from tiercel.models.gguf_blocks import BLOCK_READERS
from tiercel.models.weights import SUPPORTED_ARCHITECTURES, ModelConfig

_FLOAT_TYPES = ("F32", "F16", "BF16", "F64")


class _PlainReader(GGUFReader):
    """Reads the mapped file as a plain array: slicing a memmap is several times slower."""

    def _get(self, *arguments: Any, **options: Any) -> NDArray[Any]:
        if isinstance(self.data, np.memmap):
            self.data = cast(Any, self.data.view(np.ndarray))
        return np.asarray(super()._get(*arguments, **options))


class GgufWeights:
    """The tensors of one GGUF file, mapped into memory."""

    def __init__(self, path: Path, digest: str | None = None) -> None:
        """Open `path`; `digest` saves hashing a file whose sha256 is already known."""
        self.path = path
        try:
            self._reader = _PlainReader(path)
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise ModelUnavailable(f"{path} is not a readable GGUF file: {error}") from error
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self._digest = digest

    @cached_property
    def digest(self) -> str:
        """Hex sha256 of the file."""
        if self._digest is None:
            with self.path.open("rb") as file:
                self._digest = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digest

    def metadata(self, key: str, default: Any = None) -> Any:
        """Return a metadata value as plain Python, or `default` where the file has none."""
        field = self._reader.get_field(key)
        return default if field is None else field.contents()

    def dense(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32; raises ModelUnavailable if the file has none of the name."""
        tensor = self._tensor(name)
        try:
            values = dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError as error:
            raise self._unavailable(f"tensor type {tensor.tensor_type.name}") from error
        shape = tuple(int(size) for size in reversed(tensor.shape))
        return self._halved(name, np.asarray(values, np.float32).reshape(shape))

    def blocks(self, name: str) -> QuantizedBlocks | None:
        """Return a matrix in the blocks of the file, None where it holds floats.

        Quantized types without a reader here come in 8-bit blocks, which lose next to nothing.
        """
        tensor = self._tensor(name)
        kind = tensor.tensor_type.name
        if kind in _FLOAT_TYPES:
            return None
        if kind not in BLOCK_READERS:
            return quantized(self.dense(name), bits=8)
        read = BLOCK_READERS[kind](np.ascontiguousarray(tensor.data))
        return replace(
            read,
            codes=self._halved(name, read.codes),
            scales=self._halved(name, read.scales),
            offsets=self._halved(name, read.offsets),
        )

    def _tensor(self, name: str) -> ReaderTensor:
        if name not in self._tensors:
            raise self._unavailable(f"a model without the tensor {name}")
        return self._tensors[name]

    def _halved(self, name: str, rows: NDArray[Any]) -> NDArray[Any]:
        """Undo GGUF's interleaving of llama's rotary pairs: (0, 1), ... becomes halves."""
        if self.config.architecture != "llama" or not name.startswith("blk."):
            return rows
        heads = {"attn_q": self.config.num_heads, "attn_k": self.config.num_kv_heads}
        count = heads.get(name.split(".")[2])
        if count is None:
            return rows
        pairs = rows.reshape(count, self.config.head_dim // 2, 2, *rows.shape[1:])
        return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)

    @cached_property
    def config(self) -> ModelConfig:
        """The model's shape; raises ModelUnavailable for one that is not supported."""
        architecture = self.metadata("general.architecture")
        if architecture not in SUPPORTED_ARCHITECTURES:
            raise self._unavailable(f"architecture {architecture!r}")
        scaling = self.metadata(f"{architecture}.rope.scaling.type", "none")
        if scaling != "none":
            raise self._unavailable("scaled rotary positions")
        return self._llama_config(architecture)

    def _llama_config(self, architecture: str) -> ModelConfig:
        heads = self._required(architecture, "attention.head_count")
        hidden = self._required(architecture, "embedding_length")
        return ModelConfig(
            architecture=architecture,
            num_layers=self._required(architecture, "block_count"),
            num_heads=heads,
            num_kv_heads=self.metadata(f"{architecture}.attention.head_count_kv", heads),
            head_dim=self.metadata(f"{architecture}.attention.key_length", hidden // heads),
            hidden_size=hidden,
            intermediate_size=self._required(architecture, "feed_forward_length"),
            vocab_size=int(self._tensor("token_embd.weight").shape[1]),
            context_length=self._required(architecture, "context_length"),
            rope_theta=self.metadata(f"{architecture}.rope.freq_base", 10_000.0),
            norm_epsilon=self._required(architecture, "attention.layer_norm_rms_epsilon"),
            tied_embeddings="output.weight" not in self._tensors,
            rope_divisors=self._rope_divisors(),
        )

    def _rope_divisors(self) -> tuple[float, ...]:
        tensor = self._tensors.get("rope_freqs.weight")
        return () if tensor is None else tuple(np.asarray(tensor.data, np.float64).tolist())

    def _required(self, architecture: str, key: str) -> Any:
        value = self.metadata(f"{architecture}.{key}")
        if value is None:
            raise self._unavailable(f"a file without the metadata {architecture}.{key}")
        return value

    def _unavailable(self, what: str) -> ModelUnavailable:
        return ModelUnavailable(f"{self.path}: {what} is not supported")
