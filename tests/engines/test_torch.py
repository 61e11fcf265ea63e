from pathlib import Path

import numpy as np
import pytest

from tests.engines.conftest import TinyLoader
from tests.engines.passes import logits_by_widths, random_tokens
from tests.tiny_model import tiny_gguf
from tiercel.engines import load
from tiercel.engines.language_model import LanguageModel, Step
from tiercel.errors import InvalidRequest

pytest.importorskip("torch")


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(architecture: str, tiny_folder: Path) -> LanguageModel:
    path = tiny_gguf(tiny_folder, architecture=architecture)
    return load("torch", str(path), dtype="fp32", device="cpu")[0]


def test_logits_are_those_of_the_onnx_engine(
    model: LanguageModel, architecture: str, load_tiny: TinyLoader
) -> None:
    tokens = random_tokens(60, 269)
    expected = logits_by_widths(load_tiny("fp32", architecture=architecture), tokens, [60])
    logits = logits_by_widths(model, tokens, [60])
    np.testing.assert_allclose(logits, expected, atol=1e-3)
    assert np.abs(logits).max() > 1  # the comparison would see a wrong rotation or norm


def test_rolling_back_gives_what_a_new_cache_gives(model: LanguageModel) -> None:
    tokens = random_tokens(30, 269)
    cache = model.open()
    model.extend([Step(cache, tokens[:20], 0)])
    model.extend([Step(cache, [3, 4, 5], 1)])
    cache.truncate(20)
    (rows,) = model.extend([Step(cache, tokens[20:], 10)])
    np.testing.assert_allclose(rows, logits_by_widths(model, tokens, [30])[20:], atol=1e-4)
    cache.truncate(0)
    assert cache.length == 0
    (rows,) = model.extend([Step(cache, tokens[:1], 1)])
    np.testing.assert_allclose(rows, logits_by_widths(model, tokens, [30])[:1], atol=1e-4)


def test_a_description_that_claims_bit_exactness_keeps_it(model: LanguageModel) -> None:
    tokens = random_tokens(18, 269)
    one, other = (logits_by_widths(model, tokens, widths) for widths in ([18], [1, 2, 3]))
    assert one.tobytes() == other.tobytes() or not model.description.bit_exact
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_bad_settings_are_refused(tiny_folder: Path) -> None:
    path = str(tiny_gguf(tiny_folder))
    with pytest.raises(InvalidRequest, match="dtype"):
        load("torch", path, dtype="int4")
    with pytest.raises(InvalidRequest, match="device"):
        load("torch", path, device="abacus")
    with pytest.raises(InvalidRequest, match="max_length"):
        load("torch", path, max_length=513)
