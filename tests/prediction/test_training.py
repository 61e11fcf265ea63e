"""Training finds what is in the outcomes, exports it whole, and says how well it does."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.prediction import outcomes
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.prediction import features, training
from tiercel.prediction.manifest import MANIFEST_FILE, MODEL_FILE, Manifest
from tiercel.prediction.predictor import Predictor
from tiercel.prediction.training import train
from tiercel.types import Message

CODE, STORY = "A big code about calm red warm odd", "A big story about calm red warm odd"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Manifest:
    return train(outcomes.write(folder / "outcomes.jsonl"), folder / "predictor")


def predict(folder: Path, prompt: str, max_new_tokens: int = 64):
    predictor = Predictor.load(folder / "predictor")
    return predictor.predict(
        (Message("user", prompt),), temperature=0.0, max_new_tokens=max_new_tokens
    )


def test_what_pays_for_which_prompt_is_found(manifest, folder):
    code, story = predict(folder, CODE).seconds, predict(folder, STORY).seconds
    assert code["pair"] < code["alone"]
    assert story["alone"] < story["pair"]
    assert min(code, key=code.get) == "small"


def test_seconds_lengths_and_acceptance_are_near_the_truth(manifest, folder):
    code = predict(folder, CODE)
    assert code.num_tokens["target"] == pytest.approx(40, rel=0.2)
    assert code.acceptance["draft under target"] == pytest.approx(0.75, abs=0.1)
    first = 0.1 + 0.001 * len(CODE)
    assert code.seconds["pair"] == pytest.approx(first + 39 * 0.01, rel=0.3)


def test_a_limit_on_tokens_is_a_limit_on_seconds(manifest, folder):
    assert predict(folder, CODE, 5).num_tokens["target"] == 5
    assert predict(folder, CODE, 5).seconds["alone"] < predict(folder, CODE).seconds["alone"] / 2


def test_errors_on_unseen_prompts_are_stated_beside_those_of_the_mean(manifest):
    heads = {(head.kind, head.of): head for head in manifest.heads}
    pair = heads["token_s", "pair"]
    assert pair.model != "mean"
    assert 0 < pair.error < pair.baseline_error / 2
    assert heads["output_length", "target"].num_outcomes == 80
    assert not manifest.has_quality


def test_the_graph_gives_what_the_regressors_give(folder, manifest, monkeypatch):
    fitted = []
    keep = training.exported
    monkeypatch.setattr(
        training, "exported", lambda some, width: keep(fitted.append(some) or some, width)
    )
    train(folder / "outcomes.jsonl", folder / "again")
    rows = [
        features.features(one.prompt, temperature=0.0)
        for one in training.read_outcomes(folder / "outcomes.jsonl")
    ]
    predictor = Predictor.load(folder / "again")
    (got,) = predictor._session.run(None, {"features": np.asarray(rows)})
    expected = np.stack([one.predict(np.asarray(rows)) for one in fitted[0]], axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.1, "constants would agree by themselves"


def test_training_twice_gives_the_same_model(folder, manifest):
    again = train(folder / "outcomes.jsonl", folder / "twice")
    assert again == manifest


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"features_version": 99}, "version 99"),
        ({"feature_names": ["a"]}, "train again"),
        ({"model_sha256": "0"}, "not the model of its manifest"),
        ({"format": 2}, "format"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_in_one_line(
    folder, manifest, tmp_path, change, why
):
    content = json.loads((folder / "predictor" / MANIFEST_FILE).read_text()) | change
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(content))
    (tmp_path / MODEL_FILE).write_bytes((folder / "predictor" / MODEL_FILE).read_bytes())
    with pytest.raises(ModelUnavailable, match=why) as caught:
        Predictor.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ModelUnavailable, match="No such file"):
        Predictor.load(tmp_path / "none")


def test_too_few_outcomes_are_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="3 different prompts"):
        train(outcomes.write(tmp_path / "few.jsonl", num_prompts=3), tmp_path / "out")


def test_a_bad_line_is_named(tmp_path):
    path = outcomes.write(tmp_path / "bad.jsonl")
    path.write_text(path.read_text() + '{"prompt": "x"}\n')
    with pytest.raises(InvalidRequest, match=r"bad\.jsonl:121: "):
        train(path, tmp_path / "out")


def test_the_graph_is_a_checked_model_without_custom_operators(folder, manifest):
    model = onnx.load(folder / "predictor" / MODEL_FILE)
    onnx.checker.check_model(model)
    assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx.ml"}
