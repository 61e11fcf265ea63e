"""Puts a checkpoint's tensors where the native kernels read them, in a file that is built once."""

import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tiercel.engines.graph import rotary_tables
from tiercel.engines.native_file import TensorFile, TensorWriter
from tiercel.engines.native_library import MAX_GROUP, Layer, Matrix, Model
from tiercel.engines.native_panels import centred, centred_8_bit, panels_of
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.models.blocks import BLOCK_SIZE, QuantizedBlocks, quantized
from tiercel.models.storage import cache_folder, stored
from tiercel.models.weights import ModelConfig, Weights

# To be raised whenever the file written from the same weights changes.
_FORMAT_VERSION = 1
_BITS = {"int4": 4, "int8": 8}
_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
_NORMS = ("attn_norm", "ffn_norm")


def laid_out(weights: Weights, dtype: str) -> Path:
    """Return the folder of the model's tensors as the kernels read them, made if it never was.

    Matrices that the file quantizes in at least the bits of `dtype` keep its codes; embeddings and
    head have 8. Raises InvalidRequest for another dtype than int4 and int8, and ModelUnavailable
    for a shape that the kernels cannot work on.
    """
    if dtype not in _BITS:
        raise InvalidRequest("dtype", dtype, f"the native engine knows {', '.join(_BITS)}")
    _check_shape(weights.config)
    key = f"{weights.digest[:32]}-{dtype}-v{_FORMAT_VERSION}"
    bits = _BITS[dtype]
    return stored(cache_folder() / "native" / key, lambda folder: _write(weights, bits, folder))


class NativeWeights:
    """A model's tensors, mapped into memory; `model` points into them."""

    def __init__(self, weights: Weights, dtype: str) -> None:
        """Map the tensors of a model, laid out first if they never were."""
        self._file = TensorFile(laid_out(weights, dtype))
        self._tables = [np.ascontiguousarray(table) for table in rotary_tables(weights.config)]
        config = weights.config
        self._layers = (Layer * config.num_layers)(
            *(self._layer(f"blk.{index}") for index in range(config.num_layers))
        )
        self.model = self._model(config)

    def matrices(self) -> Iterator[Matrix]:
        """Yield every layer's matrices."""
        for layer in self._layers:
            yield from (*layer.qkv, *layer.gate_up, layer.attention_out, layer.down)

    def _model(self, config: ModelConfig) -> Model:
        embedding = self._matrix("token_embd")
        cosines, sines = self._tables
        return Model(
            num_layers=config.num_layers,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_heads=config.num_heads,
            num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            max_length=len(cosines),
            norm_epsilon=config.norm_epsilon,
            layers=ctypes.addressof(self._layers),
            embedding=embedding,
            head=embedding if config.tied_embeddings else self._matrix("output"),
            output_norm=self._file.address("output_norm"),
            cosines=cosines.ctypes.data,
            sines=sines.ctypes.data,
        )

    def _layer(self, prefix: str) -> Layer:
        bias = f"{prefix}.qkv_bias"
        return Layer(
            qkv=(Matrix * 3)(*self._side_by_side(prefix, "attn_q", "attn_k", "attn_v")),
            gate_up=(Matrix * 2)(*self._side_by_side(prefix, "ffn_gate", "ffn_up")),
            attention_out=self._matrix(f"{prefix}.attn_output"),
            down=self._matrix(f"{prefix}.ffn_down"),
            qkv_bias=self._file.address(bias) if bias in self._file else None,
            attention_norm=self._file.address(f"{prefix}.attn_norm"),
            feed_forward_norm=self._file.address(f"{prefix}.ffn_norm"),
        )

    def _side_by_side(self, prefix: str, *names: str) -> Sequence[Matrix]:
        matrices = [self._matrix(f"{prefix}.{name}") for name in names]
        column = 0
        for matrix in matrices:
            matrix.column = column
            column += matrix.outputs
        return matrices

    def _matrix(self, name: str) -> Matrix:
        return Matrix(**self._file.about(name), panels=self._file.address(name))


def _write(weights: Weights, bits: int, folder: Path) -> None:
    writer, config = TensorWriter(folder), weights.config
    _write_matrix(writer, weights, "token_embd", 8)
    if not config.tied_embeddings:
        _write_matrix(writer, weights, "output", 8)
    writer.add("output_norm", weights.dense("output_norm.weight"))
    for prefix in (f"blk.{index}" for index in range(config.num_layers)):
        for name in _MATRICES:
            _write_matrix(writer, weights, f"{prefix}.{name}", bits)
        for name in _NORMS:
            writer.add(f"{prefix}.{name}", weights.dense(f"{prefix}.{name}.weight"))
        if config.has_qkv_bias:
            biases = [weights.dense(f"{prefix}.attn_{part}.bias") for part in "qkv"]
            writer.add(f"{prefix}.qkv_bias", np.concatenate(biases))
    writer.close()


def _write_matrix(writer: TensorWriter, weights: Weights, name: str, bits: int) -> None:
    panels = panels_of(_blocks(weights, f"{name}.weight", bits))
    shape = {"inputs": panels.inputs, "outputs": panels.outputs}
    writer.add(name, panels.data, bits=panels.bits, block=panels.block, **shape)


def _blocks(weights: Weights, name: str, bits: int) -> QuantizedBlocks:
    """Return a matrix in at least `bits` bits; a file's wider blocks had their reasons."""
    blocks = weights.blocks(name)
    if blocks is not None and blocks.bits >= bits:
        return centred(blocks) if blocks.bits == 8 else blocks
    dense = weights.dense(name)
    return centred_8_bit(dense) if bits == 8 else quantized(dense, bits)


def _check_shape(config: ModelConfig) -> None:
    sizes = {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "head_dim": config.head_dim,
    }
    for name, size in sizes.items():
        if size % BLOCK_SIZE:
            raise ModelUnavailable(
                f"the native engine needs {name} to be a multiple of {BLOCK_SIZE}, not {size}: "
                "use the onnx engine"
            )
    group = config.num_heads // config.num_kv_heads
    if group > MAX_GROUP:
        raise ModelUnavailable(
            f"the native engine has up to {MAX_GROUP} query heads for a key head, not {group}: "
            "use the onnx engine"
        )
