"""`tiercel train quality`: an outcome matrix in, a predictor of quality out; and a tier added."""

import json
from importlib.metadata import PackageNotFoundError

import pytest

from tests.cli.conftest import has_one_line
from tests.prediction.quality.test_outcome_examples import add, rows
from tests.prediction.quality.tiny_encoder import encoder
from tiercel.prediction.quality import QualityPredictor

pytest.importorskip("scipy", reason="needs the extra `train`")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Sixty prompts of each of two sets: `small` does one, `large` both, `new` the other."""
    root = tmp_path_factory.mktemp("quality")
    data, outcomes = root / "data", root / "outcomes"
    data.mkdir()
    for name in ("gsm8k_test", "mmlu_test"):
        (data / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows(name, 60))))
    right = {"small": (1.0, 0.0), "large": (1.0, 1.0), "new": (0.0, 1.0)}
    for column, scores in right.items():
        for name, score in zip(("gsm8k_test", "mmlu_test"), scores, strict=True):
            add(outcomes, data, name, column, {(at, 0): score for at in range(60)})
    return "--data", str(data), "--outcomes", str(outcomes)


def test_it_learns_from_outcomes_and_adds_a_tier(tiercel, folders, tmp_path):
    out = str(tmp_path / "predictor")
    columns = ("--plan", "small", "--plan", "large")
    result = tiercel("train", "quality", *folders, "--out", out, "--folds", "0", "--json", *columns)
    assert result.exit_code == 0, result.stderr
    manifest = json.loads(result.stdout)
    assert [plan["num_scores"] for plan in manifest["plans"]] == [120, 120]
    assert manifest["num_prompts"] == 120
    assert "prompts of 2 public data sets" in manifest["note"]
    assert set(manifest["data_sha256"]) == {"gsm8k_test.jsonl", "mmlu_test.jsonl", "examples"}

    result = tiercel("train", "quality", *folders, "--out", out, "--anchors", "new")
    assert result.exit_code == 0, result.stderr
    assert "added: new, by 120 anchor prompts" in result.stdout
    predictor = QualityPredictor.load(tmp_path / "predictor")
    letter = rows("mmlu_test", 1)[0]["prompt"]
    quality = predictor.predict(letter, temperature=0.0, max_new_tokens=1).quality
    assert quality["small"] < 0.3
    assert min(quality["large"], quality["new"]) > 0.7


def test_with_an_embedding_its_record_is_kept_and_anchors_are_embedded_too(
    tiercel, folders, tmp_path, monkeypatch
):
    tiny = encoder(tmp_path / "encoder")
    monkeypatch.setattr("tiercel.prediction.quality.embedding.installed", lambda: tiny)
    out = ("--out", str(tmp_path / "predictor"))
    columns = ("--plan", "small", "--plan", "large", "--folds", "0")
    result = tiercel("train", "quality", *folders, *out, *columns, "--embedding", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["embedding"] == tiny.record.model_dump()
    result = tiercel("train", "quality", *folders, *out, "--anchors", "new")
    assert result.exit_code == 0, result.stderr
    assert QualityPredictor.load(tmp_path / "predictor", embedding=tiny).manifest.added


def test_an_embedding_that_is_not_installed_is_one_line(tiercel, folders, tmp_path, monkeypatch):
    def nothing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("tiercel.prediction.quality.embedding.distribution", nothing)
    result = tiercel("train", "quality", *folders, "--out", str(tmp_path), "--embedding")
    assert has_one_line(result, 1, "pip install 'tiercel[embedding]'")


def test_what_cannot_be_learned_from_is_one_line(tiercel, folders, tmp_path):
    out = ("--out", str(tmp_path))
    result = tiercel("train", "quality", *folders, *out, "--plan", "huge")
    assert has_one_line(result, 1, "no answer of these plans")
    result = tiercel("train", "quality", *folders, *out, "--folds", "1")
    assert has_one_line(result, 1, "--folds")
    result = tiercel("train", "quality", *folders, *out, "--anchors", "new")
    assert has_one_line(result, 1, "quality.json")
