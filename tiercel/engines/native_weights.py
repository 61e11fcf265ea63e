"""Puts a checkpoint's tensors where the native kernels read them."""

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.graph import rotary_tables
from tiercel.engines.native_library import MAX_GROUP, Layer, Matrix, Model
from tiercel.engines.native_panels import centred, centred_8_bit, panels_of
from tiercel.errors import ModelUnavailable
from tiercel.models.blocks import BLOCK_SIZE, QuantizedBlocks, quantized
from tiercel.models.weights import ModelConfig, Weights

_ALIGNMENT = 64  # one read of the kernels, one line of the processor's cache


class NativeWeights:
    """A model in the kernels' own layout: 4-bit matrices, 8-bit embeddings and head.

    Matrices that the file quantizes keep its codes, scales and offsets. Holds the memory that
    `model` points into.
    """

    def __init__(self, weights: Weights, bits: int, max_length: int) -> None:
        """Read and lay out every tensor; `bits` is 4 or 8. Raises ModelUnavailable."""
        _check_shape(weights.config)
        self._weights, self._bits = weights, bits
        self._held: list[Any] = []
        self.model = self._model(weights.config, max_length)

    def matrices(self) -> Iterator[Matrix]:
        """Yield every layer's matrices."""
        for layer in self._layers:
            yield from (*layer.qkv[: layer.num_qkv], *layer.gate_up[: layer.num_gate_up])
            yield from (layer.attention_out, layer.down)

    def _model(self, config: ModelConfig, max_length: int) -> Model:
        self._layers = (Layer * config.num_layers)(
            *(self._layer(f"blk.{index}") for index in range(config.num_layers))
        )
        cosines, sines = (self._floats(table[:max_length]) for table in rotary_tables(config))
        embedding = self._matrix("token_embd.weight", 8)
        head = embedding if config.tied_embeddings else self._matrix("output.weight", 8)
        return Model(
            num_layers=config.num_layers,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_heads=config.num_heads,
            num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            max_length=max_length,
            norm_epsilon=config.norm_epsilon,
            layers=ctypes.addressof(self._layers),
            embedding=embedding,
            head=head,
            output_norm=self._vector("output_norm.weight"),
            cosines=cosines,
            sines=sines,
        )

    def _layer(self, prefix: str) -> Layer:
        qkv = self._side_by_side([f"{prefix}.attn_{part}" for part in "qkv"])
        gate_up = self._side_by_side([f"{prefix}.ffn_{part}" for part in ("gate", "up")])
        return Layer(
            qkv=(Matrix * 3)(*qkv),
            gate_up=(Matrix * 2)(*gate_up),
            attention_out=self._matrix(f"{prefix}.attn_output.weight", self._bits),
            down=self._matrix(f"{prefix}.ffn_down.weight", self._bits),
            num_qkv=len(qkv),
            num_gate_up=len(gate_up),
            qkv_bias=self._bias(prefix),
            attention_norm=self._vector(f"{prefix}.attn_norm.weight"),
            feed_forward_norm=self._vector(f"{prefix}.ffn_norm.weight"),
        )

    def _side_by_side(self, names: Sequence[str]) -> list[Matrix]:
        matrices = [self._matrix(f"{name}.weight", self._bits) for name in names]
        column = 0
        for matrix in matrices:
            matrix.column = column
            column += matrix.outputs
        return matrices

    def _matrix(self, name: str, bits: int) -> Matrix:
        panels = panels_of(self._blocks(name, bits))
        return Matrix(
            bits=panels.bits,
            block=panels.block,
            inputs=panels.inputs,
            outputs=panels.outputs,
            half_scales=panels.half_scales,
            column=0,
            panels=self._array(panels.data),
        )

    def _blocks(self, name: str, bits: int) -> QuantizedBlocks:
        """Return a matrix in at least `bits` bits; a file's wider blocks had their reasons."""
        blocks = self._weights.blocks(name)
        if blocks is not None and blocks.bits >= bits:
            return centred(blocks) if blocks.bits == 8 else blocks
        dense = self._weights.dense(name)
        return centred_8_bit(dense) if bits == 8 else quantized(dense, bits)

    def _bias(self, prefix: str) -> int | None:
        if not self._weights.config.has_qkv_bias:
            return None
        names = (f"{prefix}.attn_{part}.bias" for part in "qkv")
        return self._floats(np.concatenate([self._weights.dense(name) for name in names]))

    def _vector(self, name: str) -> int:
        return self._floats(self._weights.dense(name))

    def _floats(self, values: NDArray[np.float32]) -> int:
        return self._array(values.astype(np.float32, copy=False))

    def _array(self, values: NDArray[Any]) -> int:
        """Keep an aligned copy and return its address."""
        raw = np.empty(values.nbytes + _ALIGNMENT, np.uint8)
        start = -raw.ctypes.data % _ALIGNMENT
        aligned = raw[start : start + values.nbytes]
        aligned[:] = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self._held.append(aligned)
        return int(aligned.ctypes.data)


def _check_shape(config: ModelConfig) -> None:
    """Raise ModelUnavailable for a shape that the kernels cannot work on."""
    wide = {"hidden_size": config.hidden_size, "intermediate_size": config.intermediate_size}
    wide |= {"num_heads x head_dim": config.num_heads * config.head_dim}
    wide |= {"head_dim": config.head_dim}
    for name, size in wide.items():
        if size % BLOCK_SIZE:
            raise ModelUnavailable(
                f"the native engine needs {name} to be a multiple of {BLOCK_SIZE}, not {size}: "
                "use the onnx engine"
            )
    group = config.num_heads // config.num_kv_heads
    if group > MAX_GROUP:
        raise ModelUnavailable(
            f"the native engine has up to {MAX_GROUP} query heads for a key head, not {group}"
        )
