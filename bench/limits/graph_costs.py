"""What one forward pass must read and compute, counted from the graph or the laid out weights."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper

from bench.limits.machine import Machine
from tiercel.engines.native_library import Matrix
from tiercel.engines.native_weights import NativeWeights
from tiercel.models.weights import ModelConfig

_PRODUCTS = ("MatMul", "Gemm")


@dataclass(frozen=True)
class PassCosts:
    """Weights in bytes that each pass reads, operations for each row, and those of attention.

    Embeddings and rotary tables are not among the weights: a pass reads a few rows of them.
    """

    weight_bytes: int
    int8_ops: int
    fp32_ops: int
    cache_bytes: int  # for each token that the cache holds
    attention_ops: int  # for each row and token that the cache holds

    @classmethod
    def read(cls, graph: Path, config: ModelConfig) -> "PassCosts":
        """Count the graph in the file; its weights are not loaded."""
        return cls.of(onnx.load(graph, load_external_data=False), config)

    @classmethod
    def of(cls, model: onnx.ModelProto, config: ModelConfig) -> "PassCosts":
        """Count a graph that reads all its logits."""
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        read: dict[str, int] = {}
        int8_ops = fp32_ops = 0
        for node in model.graph.node:
            weights = [tensors[name] for name in node.input if name in tensors]
            if node.op_type == "MatMulNBits":
                int8_ops += _block_ops(node)
            elif node.op_type in _PRODUCTS:
                fp32_ops += sum(2 * prod(weight.dims) for weight in weights)
            else:
                continue
            read |= {weight.name: _num_bytes(weight) for weight in weights}
        return cls(
            weight_bytes=sum(read.values()),
            int8_ops=int8_ops,
            fp32_ops=fp32_ops,
            cache_bytes=4 * _cached_numbers(config),
            attention_ops=_attention_ops(config),
        )

    @classmethod
    def of_native(cls, weights: NativeWeights, config: ModelConfig) -> "PassCosts":
        """Count the matrices as the native kernels read them; their cache is in half precision."""
        matrices = [weights.model.head, *weights.matrices()]
        return cls(
            weight_bytes=sum(_panel_bytes(matrix) for matrix in matrices),
            int8_ops=sum(2 * matrix.inputs * matrix.outputs for matrix in matrices),
            fp32_ops=0,
            cache_bytes=2 * _cached_numbers(config),
            attention_ops=_attention_ops(config),
        )

    def num_bytes(self, context: int) -> int:
        """Return what a pass after `context` tokens reads."""
        return self.weight_bytes + context * self.cache_bytes

    def limit_s(self, machine: Machine, *, width: int, context: int) -> float:
        """Return the least seconds that a pass of `width` tokens after `context` can take."""
        reading = self.num_bytes(context) / machine.bandwidth
        return max(reading, self.computing_s(machine, width=width, context=context))

    def computing_s(self, machine: Machine, *, width: int, context: int) -> float:
        """Return the least seconds that the operations of such a pass can take."""
        fp32_ops = self.fp32_ops + context * self.attention_ops
        return width * (self.int8_ops / machine.int8_rate + fp32_ops / machine.fp32_rate)


def _cached_numbers(config: ModelConfig) -> int:
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim


def _attention_ops(config: ModelConfig) -> int:
    return 2 * 2 * config.num_layers * config.num_heads * config.head_dim


def _panel_bytes(matrix: Matrix) -> int:
    """Return the size of a matrix: codes, scales, and for 4 bits offsets."""
    blocks = matrix.inputs * matrix.outputs // matrix.block
    numbers = 2 * (2 if matrix.bits == 4 else 1)
    return int(blocks * (matrix.block * matrix.bits // 8 + numbers))


def _block_ops(node: NodeProto) -> int:
    sizes = {attribute.name: attribute.i for attribute in node.attribute}
    return 2 * int(sizes["K"]) * int(sizes["N"])


def _num_bytes(tensor: TensorProto) -> int:
    return int(prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
