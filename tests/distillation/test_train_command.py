"""`tiercel distill train`: a recording in, a drafter that loads out, over two sittings."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.distillation.conftest import data_folder
from tests.tiny_model import tiny_gguf
from tiercel.cli.__main__ import app
from tiercel.engines.distilled import DistilledModel

pytest.importorskip("torch", reason="needs the extra `torch`")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.nice", lambda step: None)
    model = ["--model", str(tiny_gguf(tmp_path)), "--engine", "onnx", "--dtype", "fp32"]
    texts = [f"say {n}" for n in range(40)]
    data = ["--data", str(data_folder(tmp_path / "data", one=texts[:20], two=texts[20:]))]

    def run(command, *arguments):
        result = CliRunner().invoke(app, ["distill", command, *model, *data, *arguments])
        assert result.exit_code == 0, result.output
        return result

    return run


def test_it_trains_resumes_and_exports(run, tmp_path):
    recording, out = str(tmp_path / "recording"), tmp_path / "out"
    run("record", "--out", recording, "--tokens", "1500", "--max-new-tokens", "16")
    command = ["--recording", recording, "--out", str(out), "--inputs", "200", "--outputs", "100"]
    command += ["--judge-every", "2", "--json"]
    first = json.loads(run("train", *command, "--steps", "2").stdout)
    second = json.loads(run("train", *command, "--steps", "4").stdout)
    assert (first["num_train_steps"], second["num_train_steps"]) == (2, 4)
    model = DistilledModel(str(out / "drafter"))
    assert model.manifest.model_dump(mode="json") == second
    assert set(second["held_out"]) >= {"all"}
    assert second["dtype"] in ("int8", "fp32")
    state, logits = model.extend(model.open(), [5], np.zeros((1, 64), np.float32))
    assert (state.shape, logits.shape) == ((64,), (100,))
    card = (out / "drafter/README.md").read_text()
    assert second["target_digest"] in card
    assert "| one | " in card


def test_a_training_of_the_other_kind_is_not_taken_up(run, tmp_path):
    recording, out = str(tmp_path / "recording"), str(tmp_path / "out")
    run("record", "--out", recording, "--tokens", "1500", "--max-new-tokens", "16")
    command = ["--recording", recording, "--out", out, "--inputs", "200", "--steps", "1"]
    run("train", *command, "--tokens-only", "--json")
    with pytest.raises(AssertionError, match="the other kind"):
        run("train", *command)
