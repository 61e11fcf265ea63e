import numpy as np
import pytest

from tests.engines.conftest import TinyLoader
from tests.engines.passes import logits_by_widths, random_tokens, same_bits
from tiercel.engines.bit_exactness import is_bit_exact
from tiercel.engines.language_model import Logits, Step
from tiercel.engines.onnx import OnnxModel
from tiercel.engines.onnx_cache import OnnxCache


def raw_logits(model: OnnxModel, cache: OnnxCache, tokens: list[int]) -> Logits:
    """Run the model's own graph over `tokens` without padding of any kind."""
    total = cache.length + len(tokens)
    feeds = {
        "input_ids": np.array(tokens, np.int64),
        "padding": model._padding[0],
        "seqlens_k": np.array([total - 1], np.int32),
        "total_sequence_length": np.array(total, np.int32),
        "logit_positions": np.arange(len(tokens), dtype=np.int64),
    }
    for layer, (keys, values) in enumerate(cache._buffer):
        feeds |= {f"past.{layer}.key": keys, f"past.{layer}.value": values}
    (logits,) = model._session.run(["logits"], feeds)
    return np.asarray(logits)


@pytest.mark.parametrize("dtype", ["fp32", "int8", "int4"])
def test_only_a_raw_pass_of_width_one_has_other_bits(load_tiny: TinyLoader, dtype: str) -> None:
    model = load_tiny(dtype)
    tokens = random_tokens(40, model.description.vocab_size)
    whole = logits_by_widths(model, tokens, [40])
    differs = {1: False, 2: False, 3: False}
    for start in range(3, 36):
        cache = model.open()
        model.extend([Step(cache, tokens[:start], 0)])
        for width in differs:
            rows = raw_logits(model, cache, tokens[start : start + width])
            differs[width] |= not same_bits(rows, whole[start : start + width])
    assert differs == {1: True, 2: False, 3: False}


@pytest.mark.parametrize("dtype", ["fp32", "int8", "int4"])
def test_no_pass_is_so_wide_that_the_attention_cuts_it_up(
    load_tiny: TinyLoader, dtype: str
) -> None:
    model = load_tiny(dtype)
    tokens = random_tokens(140, model.description.vocab_size)
    pairs = logits_by_widths(model, tokens, [2])
    for width in (31, 32, 33, 63, 64, 65, 66, 127, 128, 129, 130):
        assert same_bits(logits_by_widths(model, tokens, [width]), pairs)
    cache = model.open()
    assert not same_bits(raw_logits(model, cache, tokens[:65]), pairs[:65]), "the guard is needed"


class WidthDependent:
    """A model whose passes of one width are off by the last bit."""

    def __init__(self, model: OnnxModel, width: int) -> None:
        self._model, self._width = model, width
        self.description, self.open, self.close = model.description, model.open, model.close

    def extend(self, steps: list[Step]) -> list[Logits]:
        rows = self._model.extend(steps)
        if len(steps[0].tokens) == self._width:
            return [np.nextafter(row, np.float32(np.inf)) for row in rows]
        return rows


@pytest.mark.parametrize("width", [1, 2, 13, 18])
def test_the_probe_sees_one_bit(load_tiny: TinyLoader, width: int) -> None:
    model = load_tiny("fp32")
    assert is_bit_exact(model, 269)
    assert not is_bit_exact(WidthDependent(model, width), 269)


class CompanyDependent(WidthDependent):
    """A model whose passes of several sequences are off by the last bit."""

    def extend(self, steps: list[Step]) -> list[Logits]:
        rows = self._model.extend(steps)
        if len(steps) > 1:
            return [np.nextafter(row, np.float32(np.inf)) for row in rows]
        return rows


def test_the_probe_sees_a_bit_that_changes_in_company(load_tiny: TinyLoader) -> None:
    assert not is_bit_exact(CompanyDependent(load_tiny("fp32"), 0), 269)


def test_a_model_that_no_padding_helps_says_that_it_is_not_bit_exact(
    load_tiny: TinyLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiercel.engines.onnx.is_bit_exact", lambda *_: False)
    assert not load_tiny("fp32").description.bit_exact
