"""What is exported is loaded and says the same; what does not fit is refused in one line."""

import json

import numpy as np
import pytest

from tests.prediction.quality.prompts import PAIR, RIGHT, text
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.prediction.quality import SHIPPED, QualityPredictor
from tiercel.prediction.quality.featuriser import features
from tiercel.prediction.quality.manifest import MANIFEST_FILE, MODEL_FILE
from tiercel.stopping.evidence import EVIDENCE_NAMES
from tiercel.types import Message

SUM = text("sum", np.random.default_rng(5))


def predict(predictor, prompt=SUM, **further):
    settings = {"temperature": 0.0, "max_new_tokens": 64, **further}
    return predictor.predict((Message("user", prompt),), **settings)


def test_a_loaded_predictor_says_what_the_fitted_model_said(folder, model):
    found = predict(QualityPredictor.load(folder))
    forecast = model.forecast(features(SUM, temperature=0.0)[None, :])
    assert list(found.quality.values()) == pytest.approx(forecast.quality[0].tolist())
    assert list(found.bound.values()) == pytest.approx(forecast.bound[0].tolist())
    assert list(found.num_tokens.values()) == pytest.approx(forecast.num_tokens[0].tolist())
    assert found.acceptance == {PAIR: pytest.approx(forecast.acceptance[0, 0])}
    assert found.quality["small"] == pytest.approx(RIGHT["sum"][0], abs=0.15)


def test_no_answer_is_longer_than_it_may_be(folder):
    assert predict(QualityPredictor.load(folder), max_new_tokens=3).num_tokens == {
        "small": 3,
        "large": 3,
    }


def test_evidence_of_a_plan_moves_its_quality(folder):
    predictor = QualityPredictor.load(folder)
    evidence = {"small": np.zeros(len(EVIDENCE_NAMES))}
    qualities = []
    for first in (-2.0, 2.0):
        evidence["small"][0] = first
        qualities.append(predict(predictor, evidence=evidence).quality["small"])
    assert qualities[1] > qualities[0] + 0.3
    with pytest.raises(InvalidRequest, match="no plan of the predictor"):
        predict(predictor, evidence={"huge": evidence["small"]})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"features_hash": "0" * 64}, "features of another definition"),
        ({"features_version": 1}, "features of another version"),
        ({"evidence_version": 0}, "evidence of another definition"),
        ({"format": 1}, "format"),
        ({"calibrations": []}, "number of plans"),
        ({"model_sha256": "0" * 64}, "is not the model of its manifest"),
        ({"surprise": 1}, "surprise"),
        (
            {"evidence_names": [], "informed_calibrations": []},
            "of another shape than its manifest",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(folder, change, why):
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelUnavailable, match=why) as refusal:
        QualityPredictor.load(folder)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST_FILE])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelUnavailable, match=name):
        QualityPredictor.load(folder)


def test_another_model_under_a_tiers_name_is_refused(folder):
    QualityPredictor.load(folder, weights_digests={"small": "abc", "other": "def", "large": ""})
    with pytest.raises(ModelUnavailable, match="'small'"):
        QualityPredictor.load(folder, weights_digests={"small": "def"})


def test_the_one_that_ships_loads_and_says_how_little_it_saw():
    predictor = QualityPredictor.load()
    size = sum(path.stat().st_size for path in SHIPPED.iterdir())
    assert size < 1_000_000
    manifest = predictor.manifest
    assert f"{manifest.num_prompts - manifest.num_calibration_prompts} prompts" in manifest.note
    found = predict(predictor, "What is the capital of France?")
    assert {"smollm2-135m", "qwen-0.5b", "qwen-1.5b"} <= found.quality.keys()
    assert all(0 <= value <= 1 for value in found.quality.values())
