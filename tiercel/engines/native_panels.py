"""Lays quantized matrices out in memory as the native kernels read them: see native/linear.h."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.models.blocks import BLOCK_SIZE, QuantizedBlocks

PANEL = 16  # outputs that lie interleaved
_CENTRE = 128  # the code of weight 0 in 8 bits


@dataclass(frozen=True)
class Panels:
    """A matrix in panels of 16 outputs, the last one filled up with zeros."""

    bits: int
    block: int
    inputs: int
    outputs: int  # a multiple of 16
    data: NDArray[np.uint8]


def panels_of(blocks: QuantizedBlocks) -> Panels:
    """Return a matrix in panels, scales and offsets in half precision.

    GGUF's formats keep them so too, but for those that multiply two of them. 8-bit blocks must be
    centred (see `centred`).
    """
    padded = _padded(blocks)
    parts = [_interleaved_codes(padded), _interleaved(padded.scales)]
    if blocks.bits == 4:
        parts.append(_interleaved(padded.offsets))
    outputs, count, size = padded.codes.shape
    return Panels(blocks.bits, size, count * size, outputs, np.concatenate(parts, axis=-1))


def centred(blocks: QuantizedBlocks) -> QuantizedBlocks:
    """Return 8-bit blocks whose code 128 is weight 0, rounded anew if they are not so already."""
    if blocks.bits == 8 and np.array_equal(blocks.offsets, -_CENTRE * blocks.scales):
        return blocks
    return centred_8_bit(blocks.dense())


def centred_8_bit(matrix: NDArray[np.float32]) -> QuantizedBlocks:
    """Round a float matrix [rows, columns] to 8-bit blocks around 0."""
    parts = matrix.reshape(len(matrix), -1, BLOCK_SIZE)
    scales = (np.abs(parts).max(axis=-1) / 127).astype(np.float16).astype(np.float32)
    divisors = np.where(scales == 0, np.float32(1), scales)
    codes = np.rint(parts / divisors[..., None]).clip(-127, 127) + _CENTRE
    return QuantizedBlocks(8, codes.astype(np.uint8), scales, -_CENTRE * scales)


def _padded(blocks: QuantizedBlocks) -> QuantizedBlocks:
    missing = -len(blocks.codes) % PANEL
    if not missing:
        return blocks
    return QuantizedBlocks(
        blocks.bits,
        np.pad(blocks.codes, ((0, missing), (0, 0), (0, 0)), constant_values=_CENTRE % 256),
        np.pad(blocks.scales, ((0, missing), (0, 0))),
        np.pad(blocks.offsets, ((0, missing), (0, 0))),
    )


def _interleaved_codes(blocks: QuantizedBlocks) -> NDArray[np.uint8]:
    """Return [panels, blocks, bytes]: groups of four inputs, sixteen outputs each."""
    outputs, count, size = blocks.codes.shape
    grouped = blocks.codes.reshape(outputs // PANEL, PANEL, count, size // 4, 4)
    codes = np.ascontiguousarray(grouped.transpose(0, 2, 3, 1, 4))
    if blocks.bits == 4:
        low, high = codes[:, :, : size // 8], codes[:, :, size // 8 :]
        codes = low | (high << np.uint8(4))
    return codes.reshape(outputs // PANEL, count, -1)


def _interleaved(numbers: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return numbers [outputs, blocks] as the bytes of halves, [panels, blocks, bytes]."""
    outputs, count = numbers.shape
    turned = numbers.astype(np.float16).reshape(outputs // PANEL, PANEL, count).transpose(0, 2, 1)
    return np.ascontiguousarray(turned).view(np.uint8).reshape(outputs // PANEL, count, -1)
