"""Adapters are files that others read, and that become the same model wherever they are merged."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from tests.tiny_model import tiny_gguf
from tiercel.cli.__main__ import app
from tiercel.errors import InvalidRequest
from tiercel.models.resolve import Checkpoint, resolve
from tiercel.specialisation.adapters import (
    ADAPTED,
    CONFIG_FILE,
    WEIGHTS_FILE,
    read_deltas,
    write_adapters,
)

# transformers itself still asks for an attribute that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

RANK = 3


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return resolve(str(tiny_gguf(tmp_path_factory.mktemp("base"), architecture="qwen2")))


@pytest.fixture
def folder(base: Checkpoint, tmp_path: Path) -> Path:
    """Adapters with random numbers beside every matrix of every layer."""
    random = np.random.default_rng(1)
    config, tensors = base.weights.config, {}
    parts = {part: "self_attn" if part in ADAPTED[:4] else "mlp" for part in ADAPTED}
    wide = {"k_proj": config.num_kv_heads * config.head_dim, "v_proj": 0, "down_proj": 0}
    wide["v_proj"] = wide["k_proj"]
    for layer in range(config.num_layers):
        for part, within in parts.items():
            inner = config.intermediate_size
            inputs = inner if part == "down_proj" else config.hidden_size
            outputs = wide.get(part) or config.hidden_size
            outputs = inner if part in ("gate_proj", "up_proj") else outputs
            stem = f"base_model.model.model.layers.{layer}.{within}.{part}"
            for side, shape in (("A", (RANK, inputs)), ("B", (outputs, RANK))):
                values = random.normal(0, 0.02, shape).astype(np.float32)
                tensors[f"{stem}.lora_{side}.weight"] = values
    write_adapters(tmp_path / "adapters", base, tensors, RANK)
    return tmp_path / "adapters"


def test_what_is_added_is_twice_b_a(base: Checkpoint, folder: Path):
    tensors, deltas = load_file(folder / WEIGHTS_FILE), read_deltas(folder, base)
    assert len(deltas) == 7 * base.weights.config.num_layers
    for name, added in deltas.items():
        stem = "base_model.model." + name.removesuffix(".weight")
        down, up = (tensors[f"{stem}.lora_{side}.weight"] for side in "AB")
        assert down.dtype == np.float16
        expected = 2 * up.astype(np.float32) @ down.astype(np.float32)
        np.testing.assert_allclose(added, expected, atol=1e-6)
        assert np.any(added)


def test_peft_reads_the_files_and_answers_as_the_merged_model_does(
    base: Checkpoint, folder: Path, tmp_path: Path
):
    torch = pytest.importorskip("torch", reason="needs the extra `specialise`")
    peft = pytest.importorskip("peft", reason="needs the extra `specialise`")
    from tiercel.specialisation.torch_model import model_of

    asked = ["merge", "--model", str(base.path), "--adapters", str(folder)]
    done = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "merged")])
    assert done.exit_code == 0, done.output
    merged = model_of(resolve(str(tmp_path / "merged")).weights)
    theirs = peft.PeftModel.from_pretrained(model_of(base.weights), folder)
    tokens = torch.tensor([[1, 50, 60, 70]])
    with torch.inference_mode():
        rows = [model(tokens).logits.numpy() for model in (merged, theirs, model_of(base.weights))]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-4)
    assert np.abs(rows[0] - rows[2]).max() > 1e-2, "adapters that do nothing would show nothing"


def test_adapters_of_another_base_or_kind_are_refused(
    base: Checkpoint, folder: Path, tmp_path: Path
):
    other = resolve(str(tiny_gguf(tmp_path, seed=5, architecture="qwen2")))
    with pytest.raises(InvalidRequest, match="learned beside"):
        read_deltas(folder, other)
    settings, tensors = folder / CONFIG_FILE, load_file(folder / WEIGHTS_FILE)
    was = json.loads(settings.read_text())
    settings.write_text(json.dumps({**was, "use_rslora": True}))
    with pytest.raises(InvalidRequest, match="use_rslora"):
        read_deltas(folder, base)
    settings.write_text(json.dumps(was))
    head = {"base_model.model.lm_head.lora_A.weight": np.zeros((3, 8), np.float16)}
    save_file({**tensors, **head}, folder / WEIGHTS_FILE)
    with pytest.raises(InvalidRequest, match="lm_head"):
        read_deltas(folder, base)
    save_file({name: one[:2] for name, one in tensors.items()}, folder / WEIGHTS_FILE)
    with pytest.raises(InvalidRequest, match="do not fit"):
        read_deltas(folder, base)
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(InvalidRequest, match="adapters"):
        read_deltas(folder, base)
