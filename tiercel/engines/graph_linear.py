"""Embeddings and linear layers of the ONNX graph, in float32 or on quantized blocks.

`int8` rounds every matrix to 8-bit blocks. `int4` keeps the file's own 4-bit codes: MatMulNBits
takes the scales, and since its fast kernels know integer zero points only, the rest of a block's
offset is added as offsets @ (sums of the inputs over each block). Rounding the offsets to integer
zero points instead saves two operators per layer but ruins the model: of the float32 model's
greedy choices, SmolLM2-135M (Q4_1) then makes 80 % on chat prompts; this way, and in `int8`, 97 %.
A lone token costs the same in both, a block of 8 some 10 % less in `int8`, on a machine with fast
8-bit dot products; `int4` needs half the memory.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.graph_file import CONTRIB, GraphFile
from tiercel.models.blocks import QuantizedBlocks, quantized, stacked
from tiercel.models.weights import Weights

# Inputs as 8-bit integers too: fast, and, unlike level 0, bitwise the same for every width.
_ACCURACY_LEVEL = 4


class Layers(Protocol):
    """How the matrices of a model appear in the graph."""

    def embedding(self, ids: str, name: str) -> str:
        """Add the rows of table `name` for `ids`; return the value's name."""
        ...

    def linear(self, rows: str, names: list[str], out: str) -> str:
        """Add rows @ matrix.T for the named matrices, outputs side by side; return `out`."""
        ...


class DenseLayers:
    """Matrices in float32."""

    def __init__(self, graph: GraphFile, weights: Weights) -> None:
        self._graph = graph
        self._weights = weights

    def embedding(self, ids: str, name: str) -> str:
        """Add a gather of float32 rows."""
        table = self._graph.weight(f"{name}.table", self._weights.dense(name))
        return self._graph.node("Gather", [table, ids], [f"{name}.rows"])

    def linear(self, rows: str, names: list[str], out: str) -> str:
        """Add one float32 matrix product."""
        matrix = np.concatenate([self._weights.dense(name) for name in names])
        stored = self._graph.weight(f"{out}.matrix", matrix.T)
        return self._graph.node("MatMul", [rows, stored], [out])


class BlockLayers:
    """Matrices in blocks of `bits` (8, or 4 with the embeddings and the head in 8)."""

    def __init__(self, graph: GraphFile, weights: Weights, bits: int) -> None:
        self._graph = graph
        self._weights = weights
        self._bits = bits
        self._tables: dict[str, QuantizedBlocks] = {}
        self._block_sums: dict[tuple[int, int], str] = {}

    def embedding(self, ids: str, name: str) -> str:
        """Add a gather of rows out of 8-bit blocks, which the head may share."""
        blocks = self._tables[name] = self._in_bits(name, 8)
        graph = self._graph
        inputs = [
            graph.weight(f"{name}.codes", blocks.codes.reshape(len(blocks.codes), -1)),
            ids,
            graph.weight(f"{name}.scales", blocks.scales),
        ]
        zeros = blocks.zero_points()
        if zeros is not None and np.any(zeros != 128):
            inputs.append(graph.weight(f"{name}.zeros", zeros))
        return graph.node(
            "GatherBlockQuantized",
            inputs,
            [f"{name}.rows"],
            domain=CONTRIB,
            bits=8,
            block_size=blocks.block_size,
            gather_axis=0,
            quantize_axis=1,
        )

    def linear(self, rows: str, names: list[str], out: str) -> str:
        """Add one quantized matrix product, or one for each matrix if their formats differ."""
        if names[0] in self._tables:
            return self._tied_head(rows, names[0], out)
        bits = 8 if names == ["output.weight"] else self._bits
        parts = [self._in_bits(name, bits) for name in names]
        whole = stacked(parts)
        if whole is not None:
            return self._product(rows, whole, out)
        pieces = [self._product(rows, part, f"{out}.{index}") for index, part in enumerate(parts)]
        return self._graph.node("Concat", pieces, [out], axis=-1)

    def _in_bits(self, name: str, bits: int) -> QuantizedBlocks:
        """Return a matrix in blocks; those of the file where they have as few bits as asked for.

        A file's wider blocks are kept for 4 bits too: it had its reasons to spend more there.
        """
        blocks = self._weights.blocks(name)
        if blocks is None:
            return quantized(self._weights.dense(name), bits)
        if blocks.bits >= bits:
            return blocks
        return quantized(blocks.dense(), bits)

    def _tied_head(self, rows: str, name: str, out: str) -> str:
        blocks = self._tables[name]
        self._graph.alias(f"{out}.codes", of=f"{name}.codes", shape=blocks.codes.shape)
        inputs = [rows, f"{out}.codes", f"{name}.scales"]
        zeros = blocks.zero_points()
        if zeros is not None and np.any(zeros != 128):
            inputs.append(f"{name}.zeros")
        return self._block_product(inputs, blocks, out)

    def _product(self, rows: str, blocks: QuantizedBlocks, out: str) -> str:
        graph = self._graph
        inputs = [
            rows,
            graph.weight(f"{out}.codes", _packed(blocks.codes, blocks.bits)),
            graph.weight(f"{out}.scales", blocks.scales),
        ]
        zeros = blocks.zero_points()
        if zeros is None:
            scaled = self._block_product(inputs, blocks, f"{out}.scaled")
            return self._with_offsets(rows, blocks, scaled, out)
        if np.any(zeros != 1 << (blocks.bits - 1)):
            inputs.append(graph.weight(f"{out}.zeros", _packed(zeros, blocks.bits)))
        return self._block_product(inputs, blocks, out)

    def _block_product(self, inputs: list[str], blocks: QuantizedBlocks, out: str) -> str:
        outputs, count, size = blocks.codes.shape
        return self._graph.node(
            "MatMulNBits",
            inputs,
            [out],
            domain=CONTRIB,
            bits=blocks.bits,
            block_size=size,
            K=count * size,
            N=outputs,
            accuracy_level=_ACCURACY_LEVEL,
        )

    def _with_offsets(self, rows: str, blocks: QuantizedBlocks, scaled: str, out: str) -> str:
        """Add to `scaled` what the offsets give beyond MatMulNBits' zero point, the middle code."""
        graph = self._graph
        sums = graph.node("MatMul", [rows, self._summing(blocks)], [f"{out}.block_sums"])
        middle = np.float32(1 << (blocks.bits - 1))
        offsets = graph.weight(f"{out}.offsets", (blocks.offsets + middle * blocks.scales).T)
        return graph.node("Gemm", [sums, offsets, scaled], [out])

    def _summing(self, blocks: QuantizedBlocks) -> str:
        """Return the name of the 0/1 matrix that sums a row over each block."""
        _, count, size = blocks.codes.shape
        if (count, size) not in self._block_sums:
            matrix = np.repeat(np.eye(count, dtype=np.float32), size, axis=0)
            self._block_sums[count, size] = self._graph.weight(f"sums.{count}.{size}", matrix)
        return self._block_sums[count, size]


def _packed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Return codes as MatMulNBits wants them: two 4-bit codes in a byte, the first one low."""
    if bits == 8:
        return codes
    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
    return codes[..., 0::2] | (codes[..., 1::2] << np.uint8(4))
