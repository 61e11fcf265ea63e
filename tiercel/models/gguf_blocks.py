"""Reads GGUF's block formats as integer codes with a scale and an offset for each block.

Layouts after ggml's `ggml-common.h`. Each reader takes a tensor's raw bytes [rows, row_bytes]; the
codes, scales and offsets that it returns give exactly the values of `gguf.quants.dequantize`
up to one rounding of float32.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tiercel.models.blocks import QuantizedBlocks

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def _halves(raw: Bytes) -> Floats:
    """Return float16 numbers stored in the last axis as float32, [..., size // 2]."""
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)


def _nibbles(raw: Bytes) -> Bytes:
    """Return the low nibbles of the last axis followed by the high ones."""
    return np.concatenate([raw & np.uint8(15), raw >> np.uint8(4)], axis=-1)


def _q4_0(raw: Bytes) -> QuantizedBlocks:
    blocks = raw.reshape(len(raw), -1, 18)
    scales = _halves(blocks[..., :2])[..., 0]
    return QuantizedBlocks(4, _nibbles(blocks[..., 2:]), scales, -8 * scales)


def _q4_1(raw: Bytes) -> QuantizedBlocks:
    blocks = raw.reshape(len(raw), -1, 20)
    scales, offsets = np.moveaxis(_halves(blocks[..., :4]), -1, 0)
    return QuantizedBlocks(
        4, _nibbles(blocks[..., 4:]), np.ascontiguousarray(scales), np.ascontiguousarray(offsets)
    )


def _q8_0(raw: Bytes) -> QuantizedBlocks:
    blocks = raw.reshape(len(raw), -1, 34)
    scales = _halves(blocks[..., :2])[..., 0]
    codes = blocks[..., 2:] ^ np.uint8(128)  # signed to offset-binary
    return QuantizedBlocks(8, codes, scales, -128 * scales)


def _q4_k(raw: Bytes) -> QuantizedBlocks:
    rows = len(raw)
    blocks = raw.reshape(rows, -1, 144)  # 256 weights: eight sub-blocks of 32
    scale, minimum = np.moveaxis(_halves(blocks[..., :4]), -1, 0)
    packed = blocks[..., 4:16]
    low, middle, high = packed[..., :4], packed[..., 4:8], packed[..., 8:]
    scales = np.concatenate([low & 63, (high & 15) | (low >> 6 << 4)], axis=-1)
    minima = np.concatenate([middle & 63, (high >> 4) | (middle >> 6 << 4)], axis=-1)
    codes = _nibbles(blocks[..., 16:].reshape(rows, -1, 32)).reshape(rows, -1, 32)
    return QuantizedBlocks(
        4,
        codes,
        (scale[..., None] * scales).reshape(rows, -1),
        (-minimum[..., None] * minima).reshape(rows, -1),
    )


def _q6_k(raw: Bytes) -> QuantizedBlocks:
    rows = len(raw)
    blocks = raw.reshape(rows, -1, 210)  # 256 weights: sixteen sub-blocks of 16
    low = _nibbles(blocks[..., :128].reshape(rows, -1, 2, 64))  # [..., halves of 128, 128]
    high = blocks[..., 128:192].reshape(rows, -1, 2, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8)[:, None]
    top = ((high[..., None, :] >> shifts) & np.uint8(3)).reshape(low.shape)
    codes = low | (top << np.uint8(4))
    codes = codes.reshape(rows, -1, 16) + np.uint8(96)  # centre 32 becomes MatMulNBits' 128
    sub_scales = blocks[..., 192:208].view(np.int8).astype(np.float32)
    scales = (_halves(blocks[..., 208:]) * sub_scales).reshape(rows, -1)
    return QuantizedBlocks(8, codes, scales, -128 * scales)


BLOCK_READERS: dict[str, Callable[[Bytes], QuantizedBlocks]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q8_0": _q8_0,
    "Q4_K": _q4_k,
    "Q6_K": _q6_k,
}
