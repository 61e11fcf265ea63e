import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize

from tiercel.models.blocks import quantized, stacked
from tiercel.models.gguf_blocks import BLOCK_READERS

BLOCK_BYTES = {"Q4_0": 18, "Q4_1": 20, "Q8_0": 34, "Q4_K": 144, "Q6_K": 210}


def random_blocks(kind: str) -> np.ndarray:
    """Random codes; the half-precision numbers in each block stay finite and small."""
    generator = np.random.default_rng(5)
    raw = generator.integers(0, 256, size=(6, 4, BLOCK_BYTES[kind]), dtype=np.uint8)
    halves = {"Q4_0": [0], "Q4_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}[kind]
    for place in halves:
        scales = generator.normal(size=(6, 4)).astype(np.float16)
        raw[..., place : place + 2] = scales[..., None].view(np.uint8)
    return raw.reshape(6, -1)


@pytest.mark.parametrize("kind", sorted(BLOCK_READERS))
def test_blocks_hold_the_values_of_the_gguf_library(kind: str) -> None:
    raw = random_blocks(kind)
    expected = dequantize(raw, gguf.GGMLQuantizationType[kind])
    blocks = BLOCK_READERS[kind](raw)
    np.testing.assert_allclose(blocks.dense(), expected, rtol=1e-5, atol=1e-4)
    assert blocks.codes.max() < 1 << blocks.bits
    assert expected.std() > 1


def test_real_quantization_comes_back() -> None:
    matrix = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    raw = quantize(matrix, gguf.GGMLQuantizationType.Q8_0)
    np.testing.assert_allclose(BLOCK_READERS["Q8_0"](raw).dense(), matrix, atol=0.02)


@pytest.mark.parametrize(("bits", "error"), [(8, 0.5 / 255), (4, 0.5 / 15)])
def test_rounding_errs_by_half_a_step_and_keeps_zero(bits: int, error: float) -> None:
    matrix = np.random.default_rng(1).uniform(-1, 2, size=(8, 96)).astype(np.float32)
    matrix[0, :32], matrix[1, :32] = 0, np.abs(matrix[1, :32]) + 1
    matrix[2, 3] = 0
    blocks = quantized(matrix, bits)
    dense = blocks.dense()
    assert np.abs(dense - matrix).max() <= 3 * error + 1e-6
    assert not dense[0, :32].any() and dense[2, 3] == 0
    assert blocks.zero_points() is not None


def test_symmetric_formats_have_a_middle_zero_and_q4_1_none() -> None:
    assert (BLOCK_READERS["Q4_0"](random_blocks("Q4_0")).zero_points() == 8).all()  # type: ignore[union-attr]
    assert (BLOCK_READERS["Q8_0"](random_blocks("Q8_0")).zero_points() == 128).all()  # type: ignore[union-attr]
    assert BLOCK_READERS["Q4_1"](random_blocks("Q4_1")).zero_points() is None


def test_only_equal_formats_are_stacked() -> None:
    four, eight = (quantized(np.ones((2, 32), np.float32), bits) for bits in (4, 8))
    both = stacked([four, four])
    assert both is not None and both.codes.shape == (4, 1, 32)
    assert stacked([four, eight]) is None
