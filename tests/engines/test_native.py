"""The native engine: the same bits whatever shares a pass, and true to the weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines.conftest import TinyLoader
from tests.engines.passes import logits_by_widths, random_tokens, same_bits
from tests.tiny_model import tiny_gguf
from tiercel.engines import load, native, native_library
from tiercel.engines.language_model import Step
from tiercel.engines.native import NativeModel
from tiercel.engines.native_panels import Panels, centred_8_bit, panels_of
from tiercel.errors import InvalidRequest, ModelFault, ModelUnavailable
from tiercel.models.blocks import quantized
from tiercel.models.resolve import resolve
from tiercel.models.weights import Weights


def tiny(folder: Path, dtype: str = "int4", architecture: str = "llama", **options) -> NativeModel:
    path = tiny_gguf(folder, architecture=architecture)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIERCEL_CACHE", str(folder / "cache"))
        model, _ = load("native", str(path), dtype=dtype, **{"threads": 1, **options})
    assert isinstance(model, NativeModel)
    return model


@pytest.fixture(params=[(d, a) for d in ("int4", "int8") for a in ("llama", "qwen2")])
def model(request: pytest.FixtureRequest, tiny_folder: Path) -> Iterator[NativeModel]:
    loaded = tiny(tiny_folder, *request.param)
    yield loaded
    loaded.close()


def test_bits_do_not_depend_on_the_widths_of_the_passes(model: NativeModel) -> None:
    assert model.description.bit_exact
    tokens = random_tokens(300, model.description.vocab_size)
    whole = logits_by_widths(model, tokens, [300])
    for widths in (*([width] for width in range(1, 18)), [1, 5, 2], [63, 1, 65], [128, 1], [255]):
        assert same_bits(logits_by_widths(model, tokens, widths), whole), widths


def test_bits_do_not_depend_on_the_threads(tiny_folder: Path) -> None:
    tokens = random_tokens(90, 269)
    models = [tiny(tiny_folder, threads=threads) for threads in (1, 2, 5)]
    alone = logits_by_widths(models[0], tokens, [90])
    for other in models:
        assert same_bits(logits_by_widths(other, tokens, [7, 1, 60]), alone)
        assert other.description.numerics_id == models[0].description.numerics_id


def test_sessions_that_share_passes_get_the_bits_they_get_alone(model: NativeModel) -> None:
    texts = [random_tokens(count, 269, seed=count) for count in (1, 2, 17, 40, 70, 130)]
    caches = [model.open() for _ in texts]
    steps = [Step(cache, text, len(text)) for cache, text in zip(caches, texts, strict=True)]
    for text, rows in zip(texts, model.extend(steps), strict=True):
        assert same_bits(np.ascontiguousarray(rows), logits_by_widths(model, text, [len(text)]))
    more = model.extend([Step(cache, [5], 1) for cache in caches])
    for text, row in zip(texts, more, strict=True):
        assert same_bits(np.ascontiguousarray(row), logits_by_widths(model, [*text, 5], [3])[-1:])


def test_a_cache_that_was_truncated_is_as_if_it_had_never_been_longer(model: NativeModel) -> None:
    tokens = random_tokens(60, 269)
    whole = logits_by_widths(model, tokens, [60])
    cache = model.open()
    model.extend([Step(cache, tokens[:31], 0)])
    model.extend([Step(cache, random_tokens(300, 269, seed=1), 1)])
    cache.truncate(31)
    (rows,) = model.extend([Step(cache, tokens[31:], 29)])
    assert same_bits(np.ascontiguousarray(rows), whole[31:])


def test_a_cache_not_rolled_back_gives_other_bits(model: NativeModel) -> None:
    tokens, cache = random_tokens(20, 269), model.open()
    model.extend([Step(cache, [*tokens[:10], 7], 0)])
    (rows,) = model.extend([Step(cache, tokens[10:], 10)])
    assert not same_bits(rows, logits_by_widths(model, tokens, [20])[10:])


def test_a_copied_prefix_goes_its_own_way(model: NativeModel) -> None:
    tokens = random_tokens(300, 269)
    whole = logits_by_widths(model, tokens, [300])
    cache = model.open()
    model.extend([Step(cache, tokens[:290], 0)])
    copy = model.open(cache, 257)
    model.extend([Step(cache, [1] * 10, 0)])
    cache.close()
    (rows,) = model.extend([Step(copy, tokens[257:], 43)])
    assert same_bits(np.ascontiguousarray(rows), whole[257:])
    with pytest.raises(ValueError, match="prefix"):
        model.open(copy, 301)


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_the_numbers_are_as_near_to_fp32_as_those_of_the_onnx_engine(
    tiny_folder: Path, load_tiny: TinyLoader, dtype: str
) -> None:
    tokens = random_tokens(120, 269)
    reference = logits_by_widths(load_tiny("fp32"), tokens, [120])
    native, onnx = (
        np.sqrt(np.mean((logits_by_widths(model, tokens, [120]) - reference) ** 2))
        for model in (tiny(tiny_folder, dtype), load_tiny(dtype))
    )
    assert native < 1.5 * onnx < reference.std()


def test_hidden_states_are_the_heads_input(tiny_folder: Path) -> None:
    model, tokens = tiny(tiny_folder), random_tokens(70, 269)
    hidden = np.zeros((3, model.description.hidden_size), np.float32)
    (rows,) = model.extend([Step(model.open(), tokens, 3, hidden)])
    head = centred_8_bit(_dense_head(tiny_folder)).dense()
    assert np.allclose(hidden @ head.T, rows, atol=0.1 * rows.std())
    assert not np.allclose(hidden[::-1] @ head.T, rows, atol=0.1 * rows.std())


def test_a_bad_step_is_refused_before_any_cache_is_touched(tiny_folder: Path) -> None:
    model = tiny(tiny_folder, max_length=300)
    good, bad = model.open(), model.open()
    for tokens, count in (([], 0), ([269], 1), ([-1], 1), ([1] * 301, 1), ([1], 2)):
        with pytest.raises(InvalidRequest):
            model.extend([Step(good, [1, 2], 1), Step(bad, tokens, count)])
        assert (good.length, bad.length) == (0, 0)
    model.extend([Step(good, [1] * 300, 1)])
    with pytest.raises(InvalidRequest, match="at most"):
        model.extend([Step(good, [1], 1)])


class Poisoned:
    """Weights with one number that is none, in the norm before the head or before a layer."""

    def __init__(self, weights: Weights, name: str) -> None:
        self.config, self.blocks = weights.config, weights.blocks
        self.digest = f"{name:x<64}"
        self._weights, self._name = weights, name

    def dense(self, name: str) -> np.ndarray:
        values = self._weights.dense(name)
        if name == self._name:
            values = values.copy()
            values[3] = np.nan
        return values


@pytest.mark.parametrize("name", ["output_norm.weight", "blk.0.attn_norm.weight"])
def test_weights_that_are_not_numbers_are_a_fault(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    weights = resolve(str(tiny_gguf(tiny_folder))).weights
    monkeypatch.setenv("TIERCEL_CACHE", str(tiny_folder / "cache"))
    with pytest.raises(ModelFault):
        NativeModel("poisoned", Poisoned(weights, name))


def test_a_fault_leaves_the_caches_as_they_were(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(logits: np.ndarray) -> None:
        raise ModelFault("for the test")

    model = tiny(tiny_folder)
    cache, tokens = model.open(), random_tokens(30, 269)
    model.extend([Step(cache, tokens[:20], 0)])
    with monkeypatch.context() as patch, pytest.raises(ModelFault):
        patch.setattr(native, "check_logits", fault)
        model.extend([Step(cache, [1, 2, 3], 1)])
    (rows,) = model.extend([Step(cache, tokens[20:], 10)])
    assert same_bits(rows, logits_by_widths(model, tokens, [30])[20:])


@pytest.mark.parametrize(("dtype", "bits"), [("int4", 4), ("int8", 8)])
def test_panels_hold_every_weight(dtype: str, bits: int) -> None:
    matrix = np.random.default_rng(1).normal(size=(40, 96)).astype(np.float32)
    blocks = centred_8_bit(matrix) if bits == 8 else quantized(matrix, 4)
    panels = panels_of(blocks)
    assert (panels.outputs, panels.inputs, panels.bits) == (48, 96, bits)
    # Scales and offsets lose what half precision does not hold; codes lose nothing.
    assert np.allclose(_unpacked(panels)[:40], blocks.dense(), rtol=2**-10, atol=2**-9)
    assert not np.allclose(_unpacked(panels)[1:41], blocks.dense(), rtol=0.1, atol=0.1)


def test_a_processor_without_the_needed_features_is_told_so() -> None:
    with pytest.raises(ModelUnavailable, match="onnx engine"):
        native_library.build_for("sse2 mmx")


def test_another_dtype_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="int4, int8"):
        tiny(tiny_folder, "fp32")


def _dense_head(folder: Path) -> np.ndarray:
    return resolve(str(tiny_gguf(folder))).weights.dense("output.weight")


def _unpacked(panels: Panels) -> np.ndarray:
    """Read panels back by the description in native/linear.h."""
    outputs, blocks, block = panels.outputs, panels.inputs // panels.block, panels.block
    dense = np.zeros((outputs, blocks, block), np.float32)
    code_bytes = block * 16 * panels.bits // 8
    for output in range(outputs):
        for index in range(blocks):
            record = panels.data[output // 16, index]
            codes, numbers = record[:code_bytes], record[code_bytes:].view(np.float16)
            for i in range(block):
                place = i if panels.bits == 8 else i % (block // 2)
                byte = codes[place // 4 * 64 + output % 16 * 4 + place % 4]
                code = byte if panels.bits == 8 else byte >> 4 if i >= block // 2 else byte & 15
                offset = (
                    numbers[16 + output % 16] if panels.bits == 4 else -128 * numbers[output % 16]
                )
                dense[output, index, i] = np.float32(code) * np.float32(
                    numbers[output % 16]
                ) + np.float32(offset)
    return dense.reshape(outputs, -1)


def test_the_build_for_lesser_processors_works_too(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if native_library.platform.machine() != "x86_64":
        pytest.skip("one build for this kind of processor")
    tokens = random_tokens(90, 269)
    best = logits_by_widths(tiny(tiny_folder), tokens, [90])
    monkeypatch.setattr(native_library, "instruction_set", lambda: "avx2 fma f16c bmi2")
    native_library.kernels.cache_clear()
    lesser = tiny(tiny_folder)
    native_library.kernels.cache_clear()
    assert lesser.description.bit_exact
    rows = logits_by_widths(lesser, tokens, [1, 5])
    assert same_bits(rows, logits_by_widths(lesser, tokens, [90]))
    assert np.abs(rows - best).max() < 1e-3 * best.std()
