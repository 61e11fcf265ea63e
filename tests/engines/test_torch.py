from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines.conftest import TinyLoader
from tests.engines.hugging_face import reference_logits
from tests.engines.passes import logits_by_widths, random_tokens
from tests.tiny_model import HIDDEN, tiny_gguf, tiny_tensors
from tiercel.engines import load
from tiercel.engines.language_model import LanguageModel, Logits, Step
from tiercel.engines.torch import TorchModel, TorchSettings
from tiercel.engines.torch_rank import RankSettings
from tiercel.errors import InvalidRequest, ModelFault
from tiercel.models.resolve import resolve

VOCAB = 269


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def path(architecture: str, tiny_folder: Path) -> Path:
    return tiny_gguf(tiny_folder, architecture=architecture)


@pytest.fixture(scope="module", params=["packed", "steady"])
def model(request: pytest.FixtureRequest, path: Path) -> Iterator[TorchModel]:
    """The model as it runs on a CPU, and with the rounded shapes of CUDA."""
    rank = RankSettings(dtype="fp32", device="cpu", threads=1)
    loaded = TorchModel(resolve(str(path)), TorchSettings(rank, steady=request.param == "steady"))
    yield loaded
    loaded.close()


def alone(model: LanguageModel, tokens: list[int]) -> Logits:
    """The logits after each token, in one pass over nothing else."""
    return logits_by_widths(model, tokens, [len(tokens)])


def test_logits_are_those_of_transformers_and_of_the_onnx_engine(
    model: TorchModel, path: Path, architecture: str, load_tiny: TinyLoader
) -> None:
    tokens = random_tokens(60, VOCAB)
    logits = alone(model, tokens)
    np.testing.assert_allclose(logits, reference_logits(path, tokens), atol=1e-3)
    onnx = alone(load_tiny("fp32", architecture=architecture), tokens)
    np.testing.assert_allclose(logits, onnx, atol=1e-3)
    assert np.abs(logits).max() > 1  # the comparison would see a wrong rotation or norm


@pytest.mark.parametrize(
    "widths",
    [[1, 1, 1], [1, 5, 2, 16], [40, 1, 1, 3], [17, 90, 1], [16, 17], [300, 1, 2]],
    ids=str,
)
def test_sequences_in_one_call_get_what_each_gets_alone(
    model: TorchModel, widths: list[int]
) -> None:
    """Blocks of any widths, on caches of any lengths; the last case is more than one pass."""
    prompts = [random_tokens(5 + 29 * n, VOCAB, seed=n) for n in range(len(widths))]
    blocks = [random_tokens(width, VOCAB, seed=50 + n) for n, width in enumerate(widths)]
    caches = [model.open() for _ in widths]
    model.extend([Step(c, prompt, 0) for c, prompt in zip(caches, prompts, strict=True)])
    found = model.extend([Step(c, b, len(b)) for c, b in zip(caches, blocks, strict=True)])
    for prompt, block, rows in zip(prompts, blocks, found, strict=True):
        expected = alone(model, prompt + block)[len(prompt) :]
        np.testing.assert_allclose(rows, expected, atol=1e-3)
        assert (rows.argmax(axis=1) == expected.argmax(axis=1)).all()
    others = alone(model, prompts[0] + blocks[1])[len(prompts[0]) :]
    assert np.abs(others[0] - found[1][0]).max() > 0.1, "another's cache would be seen"
    for cache in caches:
        cache.close()


def test_greedy_text_in_company_is_greedy_text_alone(model: TorchModel) -> None:
    def decoded(prompts: list[list[int]]) -> list[list[int]]:
        caches, texts = [model.open() for _ in prompts], [list(prompt) for prompt in prompts]
        fed = [0] * len(prompts)
        for _ in range(24):
            steps = [Step(c, t[n:], 1) for c, t, n in zip(caches, texts, fed, strict=True)]
            fed = [len(text) for text in texts]
            for text, rows in zip(texts, model.extend(steps), strict=True):
                text.append(int(rows[0].argmax()))
        for cache in caches:
            cache.close()
        return texts

    prompts = [random_tokens(3 + 11 * n, VOCAB, seed=n) for n in range(5)]
    assert decoded(prompts) == [text for prompt in prompts for text in decoded([prompt])]


def test_rolling_back_one_of_several_gives_what_a_new_cache_gives(model: TorchModel) -> None:
    tokens, other = random_tokens(30, VOCAB), random_tokens(45, VOCAB, seed=2)
    cache, neighbour = model.open(), model.open()
    model.extend([Step(cache, tokens[:20], 0), Step(neighbour, other[:40], 0)])
    model.extend([Step(cache, [3, 4, 5], 1), Step(neighbour, other[40:], 1)])
    cache.truncate(20)
    rows, rest = model.extend([Step(cache, tokens[20:], 10), Step(neighbour, [7], 1)])
    np.testing.assert_allclose(rows, alone(model, tokens)[20:], atol=1e-3)
    np.testing.assert_allclose(rest, alone(model, [*other, 7])[-1:], atol=1e-3)
    cache.truncate(0)
    assert cache.length == 0
    [rows] = model.extend([Step(cache, tokens[:1], 1)])
    np.testing.assert_allclose(rows, alone(model, tokens)[:1], atol=1e-3)


@pytest.mark.parametrize("count", [1, 40, 300])
def test_hidden_states_are_what_the_head_makes_the_logits_of(
    model: TorchModel, architecture: str, count: int
) -> None:
    head = tiny_tensors(0, architecture=architecture)["output.weight"]
    hidden = np.full((count, HIDDEN), np.nan, np.float32)
    quiet, asking, none = model.open(), model.open(), np.full((0, HIDDEN), np.nan, np.float32)
    steps = [Step(quiet, [1, 2], 0, none), Step(asking, random_tokens(300, VOCAB), count, hidden)]
    no_rows, rows = model.extend(steps)
    assert model.description.hidden_size == HIDDEN
    assert no_rows.shape == (0, VOCAB)
    assert rows.shape == (count, VOCAB)
    np.testing.assert_allclose(hidden @ head.T, rows, atol=1e-3)


def test_a_description_that_claims_bit_exactness_keeps_it(model: TorchModel) -> None:
    tokens = random_tokens(18, VOCAB)
    one, other = (logits_by_widths(model, tokens, widths) for widths in ([18], [1, 2, 3]))
    assert one.tobytes() == other.tobytes() or not model.description.bit_exact
    np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(("dtype", "most"), [("bf16", 0.5), ("fp16", 0.1)])
def test_half_precision_is_near_float32(
    model: TorchModel, path: Path, dtype: str, most: float
) -> None:
    tokens = random_tokens(40, VOCAB)
    expected = alone(model, tokens)
    logits = alone(load("torch", str(path), dtype=dtype, device="cpu", threads=1)[0], tokens)
    assert 0 < np.abs(logits - expected).mean() < most
    assert logits.dtype == np.float32


def test_numbers_that_are_none_are_a_fault_of_their_own_call_only(
    model: TorchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = random_tokens(20, VOCAB)
    cache, bad = model.open(), model.open()
    model.extend([Step(cache, tokens, 0), Step(bad, tokens, 0)])
    free = model.num_free_tokens
    with monkeypatch.context() as patch:
        patch.setattr(model._rank._decoder, "_rotations", rotations_with_a_nan(model, position=30))
        with pytest.raises(ModelFault):
            model.extend([Step(bad, random_tokens(40, VOCAB), 0)])
    assert (bad.length, model.num_free_tokens) == (20, free)
    more = random_tokens(200, VOCAB, seed=3)
    [rows] = model.extend([Step(cache, more, 200)])  # takes the pages that hold the NaN
    np.testing.assert_allclose(rows, alone(model, tokens + more)[20:], atol=1e-3)
    [rows] = model.extend([Step(bad, more[:1], 1)])
    np.testing.assert_allclose(rows, alone(model, tokens + more[:1])[20:], atol=1e-3)


def rotations_with_a_nan(model: TorchModel, position: int):  # type: ignore[no-untyped-def]
    rotations = model._rank._decoder._rotations.clone()
    rotations[:, position] = float("nan")
    return rotations


def test_bad_settings_are_refused(tiny_folder: Path) -> None:
    path = str(tiny_gguf(tiny_folder))
    for field, value in {
        "dtype": "int4",
        "device": "abacus",
        "max_length": 513,
        "cache_tokens": 15,
        "tensor_parallel": 3,
    }.items():
        with pytest.raises(InvalidRequest, match=field):
            load("torch", path, **{"device": "cpu", field: value})
    for field in ("cache_tokens", "tensor_parallel"):
        with pytest.raises(InvalidRequest, match=field):
            load("onnx", path, **{field: 64})
