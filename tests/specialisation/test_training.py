"""A tiny model is specialised: what it learned is merged right, resumes, and loads everywhere."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.models.hub_folder import write_hub_folder
from tests.tiny_model import tiny_gguf
from tiercel import engines
from tiercel.cli.__main__ import app
from tiercel.engines.language_model import Step
from tiercel.errors import InvalidRequest
from tiercel.models.resolve import Checkpoint, resolve
from tiercel.models.safetensors_weights import tensor_name
from tiercel.specialisation.samples import Sample

torch = pytest.importorskip("torch", reason="needs the extra `specialise`")
pytest.importorskip("peft", reason="needs the extra `specialise`")
from tiercel.specialisation.adapters import read_deltas, write_adapters  # noqa: E402
from tiercel.specialisation.exporting import stored_names, write_specialist  # noqa: E402
from tiercel.specialisation.torch_model import adapted, model_of  # noqa: E402
from tiercel.specialisation.torch_training import Course, Training, answer_loss  # noqa: E402

# transformers itself still asks for an attribute that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SAMPLES = [Sample((1, 5, 6, n + 10), (n + 20, n + 21, 2)) for n in range(12)]
COURSE = Course(6, samples_per_step=4, rank=4, learning_rate=1e-2, dtype="fp32")


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def base(request, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("base")
    return resolve(str(tiny_gguf(folder, architecture=request.param)))


def trained(
    base: Checkpoint, folder: Path, course: Course = COURSE
) -> tuple[Training, list[float]]:
    folder.mkdir(exist_ok=True)
    training, losses = Training(base.weights, course, SAMPLES, folder), []
    training.run(lambda step, loss: losses.append(loss))
    return training, losses


def deltas_of(training: Training, base: Checkpoint, folder: Path) -> dict[str, np.ndarray]:
    write_adapters(folder, base, training.learned(), training._course.rank)
    return read_deltas(folder, base)


def logits(model, tokens: list[int]) -> np.ndarray:
    cache = model.open()
    (rows,) = model.extend([Step(cache, tokens, len(tokens))])
    return rows


def test_the_model_that_is_trained_is_the_model_that_is_served(base: Checkpoint):
    tokens = [1, 50, 60, 70, 80, 90]
    served, _ = engines.load("onnx", str(base.path), dtype="fp32", threads=1)
    with torch.inference_mode():
        own = model_of(base.weights)(torch.tensor([tokens])).logits[0].numpy()
    np.testing.assert_allclose(own, logits(served, tokens), atol=2e-4)


def test_what_is_merged_is_base_plus_b_times_a(base: Checkpoint, tmp_path: Path):
    training, losses = trained(base, tmp_path / "training", replace(COURSE, num_steps=30))
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3]), "it learns"
    deltas = deltas_of(training, base, tmp_path / "adapters")
    write_specialist(tmp_path / "out", base, deltas, "# card")
    merged = resolve(str(tmp_path / "out")).weights
    adapters = {name: one.detach().numpy() for name, one in training.adapters.items()}
    changed = 0
    for name in stored_names(base.weights.config):
        was, now = (one.dense(tensor_name(name)) for one in (base.weights, merged))
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        down, up = (adapters.get(f"{stem}.lora_{side}.default.weight") for side in "AB")
        learned = 0.0 if down is None or up is None else 2.0 * up @ down
        np.testing.assert_allclose(now, was + learned, atol=1e-3)  # they are stored in float16
        changed += int(np.any(now != was))
    assert changed == len(deltas) == 7 * base.weights.config.num_layers
    assert merged.config == base.weights.config


def test_every_engine_loads_the_specialist(base: Checkpoint, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "cache"))
    training, _ = trained(base, tmp_path / "training")
    deltas = deltas_of(training, base, tmp_path / "adapters")
    write_specialist(tmp_path / "out", base, deltas, "# card")
    tokens = [1, 50, 60, 70, 80, 90]
    with torch.inference_mode():
        own = training._model(torch.tensor([tokens])).logits[0].numpy()
    before = base.read_tokenizer()
    for engine, dtype, tolerance in (
        ("onnx", "fp32", 5e-4),
        ("torch", "fp32", 5e-4),
        ("native", "int8", None),
        ("native", "int4", None),
    ):
        model, tokenizer = engines.load(engine, str(tmp_path / "out"), dtype=dtype, threads=1)
        assert (tokenizer.fingerprint, tokenizer.eos_ids) == (before.fingerprint, before.eos_ids)
        rows = logits(model, tokens)
        if tolerance:
            np.testing.assert_allclose(rows, own, atol=tolerance)
        else:
            assert np.corrcoef(rows.ravel(), own.ravel())[0, 1] > 0.9
        model.close()


def test_a_training_in_two_sittings_ends_with_the_same_bits(base: Checkpoint, tmp_path: Path):
    whole, losses = trained(base, tmp_path / "whole")
    (tmp_path / "parts").mkdir()
    told: list[float] = []

    class Interrupted(Exception):
        pass

    def interrupt(step: int, loss: float) -> None:
        told.append(loss)
        if step == 3:
            first.save()
            raise Interrupted

    first = Training(base.weights, COURSE, SAMPLES, tmp_path / "parts")
    with pytest.raises(Interrupted):
        first.run(interrupt)
    second = Training(base.weights, COURSE, SAMPLES, tmp_path / "parts")
    assert second.num_steps == 3
    second.run(lambda step, loss: told.append(loss))
    assert told == losses
    for name, one in whole.adapters.items():
        assert torch.equal(one, second.adapters[name])


def test_another_course_model_or_data_is_not_taken_up(base: Checkpoint, tmp_path: Path):
    trained(base, tmp_path)
    architecture = base.weights.config.architecture
    other = resolve(str(tiny_gguf(tmp_path, seed=5, architecture=architecture))).weights
    for field, weights, course, samples in (
        ("course", base.weights, replace(COURSE, num_steps=7), SAMPLES),
        ("model", other, COURSE, SAMPLES),
        ("samples", base.weights, COURSE, SAMPLES[1:]),
    ):
        with pytest.raises(InvalidRequest, match=f"its {field} was"):
            Training(weights, course, samples, tmp_path)
    with pytest.raises(InvalidRequest, match="bf16"):
        Course(7, dtype="int8")


def test_positions_keep_their_precision_in_a_model_of_bfloat16(base: Checkpoint):
    whole = model_of(base.weights)
    tables = whole.model.rotary_emb.inv_freq.clone()
    halved = adapted(whole, rank=2, dtype=torch.bfloat16, seed=0).get_base_model()
    assert halved.model.layers[0].self_attn.q_proj.weight.dtype == torch.bfloat16
    assert torch.equal(halved.model.rotary_emb.inv_freq, tables)
    assert not torch.equal(tables, tables.bfloat16().float()), "it would be seen"


def test_the_loss_is_over_answers_only_and_padding_changes_nothing(base: Checkpoint):
    model = model_of(base.weights)
    short, long = Sample((1, 5), (30, 2)), Sample((1, 5, 6, 7, 8), (31, 32, 33, 2))
    alone = [answer_loss(model, [one]).item() for one in (short, long)]
    expected = (2 * alone[0] + 4 * alone[1]) / 6
    assert answer_loss(model, [short, long]).item() == pytest.approx(expected, rel=1e-5)
    with torch.inference_mode():
        rows = model(torch.tensor([[1, 5, 30]])).logits[0]
    by_hand = torch.nn.functional.cross_entropy(rows[1:], torch.tensor([30, 2])).item()
    assert alone[0] == pytest.approx(by_hand, rel=1e-5)


def test_the_command_trains_goes_on_and_writes_a_model(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.nice", lambda step: None)
    source = resolve(str(tiny_gguf(tmp_path)))
    folder = write_hub_folder(tmp_path / "hub", source, "float32")
    rows = [
        {"id": str(n), "prompt": "?", "reference": "", "meta": {"solution": f"{n} + 2 = {n + 2}"}}
        for n in range(20)
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    command = ["specialise", "--model", str(folder), "--task", "gsm8k_calculations"]
    command += ["--data", str(tmp_path / "train.jsonl"), "--out", str(out), "--steps", "2"]
    command += ["--samples", "4", "--rank", "2", "--dtype", "fp32"]
    for _ in range(2):  # the second has nothing left to do
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
    assert "gsm8k_calculations" in (out / "README.md").read_text()
    model, tokenizer = engines.load("onnx", str(out), dtype="fp32", threads=1)
    assert model.description.vocab_size == source.weights.config.vocab_size
    assert tokenizer.fingerprint == source.read_tokenizer().fingerprint
    refused = CliRunner().invoke(app, [*command, "--rank", "3"])
    assert refused.exit_code == 1 and "course" in refused.stderr
