"""The engines on SmolLM2, and, where its file is at hand, on Qwen 2.5 Coder 0.5B."""

import os

import numpy as np
import pytest

from tests.engines.hugging_face import reference_logits
from tests.engines.passes import logits_by_widths, same_bits
from tiercel.engines import load
from tiercel.engines.language_model import LanguageModel, Logits, Step
from tiercel.models.embedded import embedded_file
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message

QUESTION = [Message("user", "Name three birds of prey.")]
Loaded = tuple[LanguageModel, Tokenizer]


@pytest.fixture(scope="module")
def fp32() -> Loaded:
    return load("onnx", "smollm2-135m", dtype="fp32")


@pytest.fixture(scope="module")
def answer(fp32: Loaded) -> tuple[list[int], list[int], Logits]:
    """The prompt, 48 greedy tokens of the float32 model, and the logits that chose them."""
    model, tokenizer = fp32
    prompt = tokenizer.render(QUESTION)
    cache, fresh = model.open(), prompt
    tokens: list[int] = []
    rows: list[Logits] = []
    for _ in range(48):
        rows += model.extend([Step(cache, fresh, 1)])
        fresh = [int(rows[-1].argmax())]
        tokens += fresh
    cache.close()
    return prompt, tokens, np.concatenate(rows)


def test_the_model_answers_in_words(
    fp32: Loaded, answer: tuple[list[int], list[int], Logits]
) -> None:
    text = fp32[1].decode(answer[1])
    assert "owl" in text.lower() or "eagle" in text.lower()


def test_verifying_gives_the_bits_of_decoding_one_by_one(
    fp32: Loaded, answer: tuple[list[int], list[int], Logits]
) -> None:
    prompt, tokens, rows = answer
    for widths in ([len(prompt), 48], [len(prompt), 4], [3, 5]):
        again = logits_by_widths(fp32[0], prompt + tokens[:-1], widths)
        assert same_bits(again[len(prompt) - 1 :], rows), widths


@pytest.mark.parametrize("dtype", ["int8", "int4"])
@pytest.mark.parametrize("engine", ["onnx", "native"])
def test_quantized_bits_do_not_depend_on_the_width_and_choices_are_nearly_float32s(
    answer: tuple[list[int], list[int], Logits], engine: str, dtype: str
) -> None:
    prompt, tokens, rows = answer
    model, _ = load(engine, "smollm2-135m", dtype=dtype)
    assert model.description.bit_exact
    sequence = prompt + tokens[:-1]
    whole = logits_by_widths(model, sequence, [len(sequence)])
    assert same_bits(logits_by_widths(model, sequence, [2, 1, 7]), whole)
    agreeing = whole[len(prompt) - 1 :].argmax(axis=1) == rows.argmax(axis=1)
    assert agreeing.mean() > 0.85
    assert not same_bits(whole[len(prompt) - 1 :], rows)


def test_float32_logits_are_those_of_transformers(
    fp32: Loaded, answer: tuple[list[int], list[int], Logits]
) -> None:
    prompt, tokens, rows = answer
    sequence = prompt + tokens[:-1]
    expected = reference_logits(embedded_file("smollm2-135m"), sequence)[len(prompt) - 1 :]
    np.testing.assert_allclose(rows, expected, atol=2e-3)
    assert (rows.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.skipif("TIERCEL_TEST_QWEN" not in os.environ, reason="no GGUF file of Qwen is named")
@pytest.mark.parametrize("engine", ["onnx", "native"])
def test_bits_do_not_depend_on_the_width_on_qwen(engine: str) -> None:
    model, tokenizer = load(engine, os.environ["TIERCEL_TEST_QWEN"], dtype="int4", max_length=512)
    assert model.description.bit_exact
    tokens = tokenizer.encode("def quicksort(items):\n    if len(items) < 2:\n        return" * 4)
    whole = logits_by_widths(model, tokens, [len(tokens)])
    for widths in ([1], [2, 1, 7], [5], [64, 3]):
        assert same_bits(logits_by_widths(model, tokens, widths), whole), widths
