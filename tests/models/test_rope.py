"""Models whose rotary frequencies are scaled for long contexts, as those of Llama 3.1 are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from tests import tiny_model
from tests.engines.passes import logits_by_widths, random_tokens
from tests.models.hub_folder import write_hub_folder
from tiercel.engines import load
from tiercel.engines.language_model import Logits
from tiercel.errors import ModelUnavailable
from tiercel.models.resolve import resolve
from tiercel.models.safetensors_weights import SafetensorsWeights

# With these, a head of 32 has frequencies that stay, that are divided, and some in between.
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}
TOKENS = random_tokens(300, 269)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = resolve(str(tiny_model.tiny_gguf(tmp_path)))
    written = write_hub_folder(tmp_path / "hub", source, np.float32)
    change_config(written, rope_scaling=LLAMA3)
    return written


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def ours(path: Path, engine: str) -> Logits:
    model, _ = load(engine, str(path), dtype="fp32", device="cpu", threads=1)
    return logits_by_widths(model, TOKENS, [len(TOKENS)])


def theirs(folder: Path) -> Logits:
    files = SafetensorsWeights(folder)._file_of
    index = {"metadata": {}, "weight_map": {name: path.name for name, path in files.items()}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        return np.asarray(model(torch.tensor([TOKENS])).logits[0])


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_logits_are_those_of_transformers(folder: Path, engine: str) -> None:
    found, expected = ours(folder, engine), theirs(folder)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    change_config(folder, rope_scaling=None)
    assert np.abs(ours(folder, engine) - expected).max() > 0.5, "a wrong scale would be seen"


def test_a_gguf_file_has_the_divisors_as_a_tensor(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    divisors = resolve(str(folder)).weights.config.rope_divisors
    assert (min(divisors), max(divisors), len(divisors)) == (1.0, 8.0, 16)
    assert any(1 < divisor < 8 for divisor in divisors)
    plain = tiny_model.tiny_tensors

    def scaled(*args: object, **options: object) -> dict[str, np.ndarray]:
        tensors = plain(*args, **options)  # type: ignore[arg-type]
        return tensors | {"rope_freqs.weight": np.array(divisors, np.float32)}

    monkeypatch.setattr(tiny_model, "tiny_tensors", scaled)
    (tmp_path / "gguf").mkdir()
    path = tiny_model.tiny_gguf(tmp_path / "gguf")
    np.testing.assert_allclose(resolve(str(path)).weights.config.rope_divisors, divisors)
    np.testing.assert_allclose(ours(path, "torch"), ours(folder, "torch"), atol=1e-3)


def test_a_setting_that_is_missing_is_named(folder: Path) -> None:
    change_config(folder, rope_scaling={"rope_type": "llama3", "factor": 8.0})
    with pytest.raises(ModelUnavailable, match="original_max_position_embeddings"):
        load("torch", str(folder))
