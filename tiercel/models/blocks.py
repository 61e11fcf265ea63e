"""Matrices as integer codes in blocks, each block with a scale and an offset of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_SIZE = 32


@dataclass(frozen=True)
class QuantizedBlocks:
    """A matrix [rows, columns] in blocks along its columns: weight = scale * code + offset.

    `codes` is uint8 [rows, blocks, block_size]; `scales` and `offsets` are float32 [rows, blocks].
    """

    bits: int
    codes: NDArray[np.uint8]
    scales: NDArray[np.float32]
    offsets: NDArray[np.float32]

    @property
    def block_size(self) -> int:
        """Number of weights that share a scale."""
        return int(self.codes.shape[2])

    def dense(self) -> NDArray[np.float32]:
        """Return the matrix in float32, [rows, columns]."""
        values = self.codes * self.scales[..., None] + self.offsets[..., None]
        return values.reshape(len(self.codes), -1).astype(np.float32, copy=False)

    def zero_points(self) -> NDArray[np.uint8] | None:
        """Return the code of weight 0 for each block, None if some block has no such code."""
        divisors = np.where(self.scales == 0, np.float32(1), self.scales)
        zeros = np.rint(-self.offsets / divisors)
        on_grid = (zeros >= 0) & (zeros < 1 << self.bits)
        if np.all(on_grid & (-zeros * self.scales == self.offsets)):
            return zeros.astype(np.uint8)
        return None


def quantized(matrix: NDArray[np.float32], bits: int) -> QuantizedBlocks:
    """Round a float matrix [rows, columns] to blocks whose grids all contain 0."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK_SIZE)
    lowest = np.minimum(blocks.min(axis=-1), 0)
    top = (1 << bits) - 1
    scales = ((np.maximum(blocks.max(axis=-1), 0) - lowest) / top).astype(np.float32)
    scales[scales == 0] = 1
    zeros = np.rint(-lowest / scales).clip(0, top).astype(np.float32)
    codes = np.rint(blocks / scales[..., None] + zeros[..., None]).clip(0, top)
    return QuantizedBlocks(bits, codes.astype(np.uint8), scales, -zeros * scales)


def stacked(parts: Sequence[QuantizedBlocks]) -> QuantizedBlocks | None:
    """Return matrices of equal format on top of each other, None if their formats differ."""
    if len({(part.bits, part.block_size) for part in parts}) > 1:
        return None
    return QuantizedBlocks(
        bits=parts[0].bits,
        codes=np.concatenate([part.codes for part in parts]),
        scales=np.concatenate([part.scales for part in parts]),
        offsets=np.concatenate([part.offsets for part in parts]),
    )
