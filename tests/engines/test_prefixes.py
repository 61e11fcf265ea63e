"""A cache opened as a copy of another's beginning: the bits are those of a cache of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines.passes import random_tokens, same_bits
from tests.tiny_model import tiny_gguf
from tiercel.engines import load
from tiercel.engines.language_model import Cache, LanguageModel, Logits, Step

LENGTH = 150  # tokens of a prompt; further than one chunk of the engines


def _tiny(engine: str, dtype: str) -> Callable[[Path], LanguageModel]:
    def loaded(folder: Path) -> LanguageModel:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TIERCEL_CACHE", str(folder / "cache"))
            return load(engine, str(tiny_gguf(folder)), dtype=dtype, threads=1)[0]

    return loaded


ENGINES = {
    "native-int4": _tiny("native", "int4"),
    "native-int8": _tiny("native", "int8"),
    "onnx-int4": _tiny("onnx", "int4"),
    "onnx-fp32": _tiny("onnx", "fp32"),
    "onnx-int4, SmolLM2": lambda _: load("onnx", "smollm2-135m", dtype="int4", threads=1)[0],
    "torch": _tiny("torch", "fp32"),
    "simulated": lambda _: load("simulated", "any")[0],
}


@pytest.fixture(scope="module", params=ENGINES)
def model(request: pytest.FixtureRequest, tiny_folder: Path) -> Iterator[LanguageModel]:
    loaded = ENGINES[request.param](tiny_folder)
    yield loaded
    loaded.close()


def tokens_of(model: LanguageModel, seed: int = 7) -> list[int]:
    return random_tokens(LENGTH, model.description.vocab_size, seed)


def fed(model: LanguageModel, tokens: list[int], cache: Cache | None = None) -> Cache:
    cache = cache or model.open()
    model.extend([Step(cache, tokens, 0)])
    return cache


def rows(model: LanguageModel, cache: Cache, tokens: list[int]) -> Logits:
    [logits] = model.extend([Step(cache, tokens, len(tokens))])
    return logits


@pytest.mark.parametrize("length", [0, 1, 31, 64, 65, 149, LENGTH])
def test_a_copied_prefix_gives_the_bits_of_a_cache_of_its_own(model: LanguageModel, length: int):
    tokens = tokens_of(model)
    copied = model.open(fed(model, tokens), length)
    assert copied.length == length
    tail = [*tokens[length:], 5, 6, 7]
    alone = fed(model, tokens[:length]) if length else model.open()
    expected, found = rows(model, alone, tail), rows(model, copied, tail)
    if model.description.bit_exact:
        assert same_bits(found, expected)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_prefix_with_another_last_token_gives_other_bits(model: LanguageModel):
    """The negative control of every test of equality on prefixes."""
    tokens = tokens_of(model)
    other = [*tokens[:99], (tokens[99] + 1) % model.description.vocab_size]
    expected = rows(model, fed(model, tokens[:100]), tokens[100:])
    found = rows(model, model.open(fed(model, other), 100), tokens[100:])
    assert not same_bits(found, expected)


def test_a_copy_and_its_source_go_their_own_ways(model: LanguageModel):
    tokens = tokens_of(model)
    source = fed(model, tokens)
    copied = model.open(source, 80)
    expected = rows(model, fed(model, tokens), [1, 2])
    fed(model, tokens_of(model, seed=8), copied)
    assert same_bits(rows(model, source, [1, 2]), expected)
    source.truncate(10)
    fed(model, [9] * 50, source)
    copied.truncate(80)
    expected = rows(model, fed(model, tokens[:80]), [3, 4])
    source.close()
    assert same_bits(rows(model, copied, [3, 4]), expected)


@pytest.mark.parametrize("length", [-1, LENGTH + 1])
def test_a_prefix_that_is_not_there_is_refused(model: LanguageModel, length: int):
    source = fed(model, tokens_of(model))
    with pytest.raises(ValueError, match="has no prefix of"):
        model.open(source, length)


def test_a_closed_cache_is_no_prefix(model: LanguageModel):
    source = fed(model, tokens_of(model))
    source.close()
    with pytest.raises(ValueError, match="closed"):
        model.open(source, 0)
