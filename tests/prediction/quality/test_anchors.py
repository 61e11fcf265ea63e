"""A tier without training data is predicted from its scores on anchor prompts."""

from dataclasses import replace

import numpy as np
import pytest

from tests.prediction.quality.prompts import QUICK, examples, text
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.prediction.quality import QualityPredictor
from tiercel.prediction.quality.anchors import file_name
from tiercel.prediction.quality.manifest import MODEL_FILE, TierRecord
from tiercel.prediction.quality.outcome_examples import Asked, Measured
from tiercel.prediction.quality.training import add_tier

# Good at what the others are bad at.
RIGHT = {"sum": 0.2, "code": 0.9}


@pytest.fixture(scope="module")
def measured() -> Measured:
    some = examples(200, seed=7)
    odds = np.array([[RIGHT[kind]] for kind in some.kinds])
    scores = np.random.default_rng(0).random((200, 1)) < odds
    alone = replace(
        some,
        scores=scores.astype(np.float32),
        num_tokens=np.full((200, 1), 12, np.float32),
        evidence=some.evidence[:, :1],
        plan_names=("coder",),
    )
    asked = tuple(Asked("set", str(at), 0.0) for at in range(200))
    record = TierRecord(model="coder", dtype="int4", weights_digest="123")
    return Measured(alone, asked, {"coder": record}, {})


@pytest.fixture
def extended(folder, measured):
    before = (folder / MODEL_FILE).read_bytes()
    add_tier(folder, measured, "coder", settings=QUICK)
    assert (folder / MODEL_FILE).read_bytes() == before
    return folder


def qualities(folder, kind: str) -> list[dict[str, float]]:
    predictor, random = QualityPredictor.load(folder), np.random.default_rng(9)
    prompts = [text(kind, random) for _ in range(20)]
    found = [predictor.predict(one, temperature=0.0, max_new_tokens=64) for one in prompts]
    assert all(one.num_tokens["coder"] == 12 for one in found)
    assert all(one.bound["coder"] <= one.quality["coder"] for one in found)
    return [one.quality for one in found]


@pytest.mark.parametrize("kind", ["sum", "code"])
def test_the_new_tier_is_told_from_its_anchors(extended, kind):
    found = qualities(extended, kind)
    assert np.mean([one["coder"] for one in found]) == pytest.approx(RIGHT[kind], abs=0.12)
    sign = 1 if kind == "code" else -1
    assert all(sign * (one["coder"] - one["small"]) > 0.3 for one in found)


def test_what_was_trained_is_not_changed(folder, extended, measured):
    assert {plan.name for plan in QualityPredictor.load(extended).manifest.plans} == {
        "small",
        "large",
    }
    with pytest.raises(InvalidRequest, match="was trained on"):
        add_tier(folder, measured, "small", settings=QUICK)
    with pytest.raises(InvalidRequest, match="no outcomes"):
        add_tier(folder, measured, "huge", settings=QUICK)


def test_too_few_anchors_are_refused(folder, measured):
    few = replace(
        measured, examples=measured.examples.rows(np.arange(49)), asked=measured.asked[:49]
    )
    with pytest.raises(InvalidRequest, match="at least 50"):
        add_tier(folder, few, "coder", settings=QUICK)


def test_anchors_of_another_model_or_changed_ones_are_refused(extended):
    with pytest.raises(ModelUnavailable, match="'coder'"):
        QualityPredictor.load(extended, weights_digests={"coder": "456"})
    path = extended / file_name("coder")
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelUnavailable, match="is not the file of its manifest"):
        QualityPredictor.load(extended)
