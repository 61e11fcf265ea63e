"""An embedding is of the text, is learned from, and is the one that the manifest names."""

import json
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from tests.prediction.quality.prompts import QUICK, examples
from tests.prediction.quality.tiny_encoder import STATES, encoder
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.prediction.quality import QualityPredictor, features, fit_quality
from tiercel.prediction.quality import embedding as embeddings
from tiercel.prediction.quality.embedding import MAX_TOKENS, Embedding, installed
from tiercel.prediction.quality.featuriser import NUM_FEATURES
from tiercel.prediction.quality.manifest import MANIFEST_FILE
from tiercel.prediction.quality.outcome_examples import Asked, Measured
from tiercel.prediction.quality.training import add_tier
from tiercel.prediction.quality.weights import Scaling
from tiercel.types import Message
from tiercel.wire.requests import TokenIds


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("encoder"))


def embedded(number, tiny, seed=0):
    """The examples of these tests, in features of which the words are gone: an embedding alone."""
    own = examples(number, seed)
    means = np.where(np.array(own.kinds)[:, None] == "sum", STATES[1], STATES[2] + STATES[3])
    rows = np.zeros_like(own.features)
    rows[:, :10] = np.random.default_rng(seed).random((number, 10)) < 0.5
    return replace(own, features=np.hstack((rows, means / np.linalg.norm(means, axis=1)[:, None])))


@pytest.fixture(scope="module")
def fitted(tiny):
    return fit_quality(embedded(240, tiny), embedded(200, tiny, seed=1), settings=QUICK, seed=0)


@pytest.fixture
def saved(fitted, about, tiny, tmp_path):
    fitted.export(tmp_path / "predictor", replace(about, embedding=tiny.record))
    return tmp_path / "predictor"


def test_it_is_the_mean_of_the_tokens_states_at_length_one(tiny):
    assert tiny.record.size == 4
    assert tiny("much").tolist() == [1, 0, 0, 0]
    assert tiny("much Python Python code") == pytest.approx(np.array([3, 6, 0, 5]) / 70**0.5)
    assert not tiny("nothing known").any()
    assert not tiny("").any()
    assert np.isfinite(tiny("a lone \ud800 surrogate")).all()


def test_the_beginning_of_a_long_text_is_read_whatever_the_tokenizer_says(tiny):
    assert tiny("much " * MAX_TOKENS + "Python " * 99).tolist() == [1, 0, 0, 0]
    assert tiny("much " * (MAX_TOKENS - 1) + "Python")[1] > 0


def test_the_row_ends_with_the_last_questions_embedding(tiny):
    talk = (Message("user", "much"), Message("assistant", "code"), Message("user", "Python"))
    plain, row = (features(talk, temperature=0.5, embedding=one) for one in (None, tiny))
    assert row.shape == (NUM_FEATURES + 4,)
    assert (row[:NUM_FEATURES] == plain).all()
    assert row[NUM_FEATURES:].tolist() == [0, 1, 0, 0]
    assert not features(TokenIds((1, 2), "f"), temperature=0.5, embedding=tiny)[NUM_FEATURES:].any()


def test_the_scaling_keeps_angles_of_embeddings_and_leaves_other_features_alone(tiny):
    rows = embedded(100, tiny).features
    plain, wide = Scaling.of(rows[:, :NUM_FEATURES]), Scaling.of(rows)
    assert (wide.means[:NUM_FEATURES] == plain.means).all()
    assert (wide.scales[:NUM_FEATURES] == plain.scales).all()
    assert len(set(wide.scales[NUM_FEATURES:].tolist())) == 1
    assert wide(rows)[:, NUM_FEATURES:].mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-5)


def test_what_only_the_embedding_tells_is_learned(fitted, tiny):
    asked = embedded(200, tiny, seed=2)
    found = fitted.forecast(asked.features).quality
    sums = np.array(asked.kinds) == "sum"
    assert found[sums, 0].mean() > 0.7
    assert found[~sums, 0].mean() < 0.3
    blind = asked.features.copy()
    blind[:, NUM_FEATURES:] = blind[:, NUM_FEATURES:].mean(axis=0)
    found = fitted.forecast(blind).quality
    assert abs(found[sums, 0].mean() - found[~sums, 0].mean()) < 0.1


def test_a_loaded_predictor_embeds_the_prompt(saved, tiny):
    predictor = QualityPredictor.load(saved, embedding=tiny)
    told = {
        text: predictor.predict(text, temperature=0.0, max_new_tokens=9)
        for text in ("much", "Python code")
    }
    assert told["much"].quality["small"] > 0.6
    assert told["Python code"].quality["small"] < 0.4
    assert told["much"].features.shape == (NUM_FEATURES,)


def test_another_embedding_than_that_of_the_manifest_is_refused(saved, tmp_path):
    other = encoder(tmp_path / "other", STATES + 1)
    with pytest.raises(ModelUnavailable, match="fitted with tiny") as refusal:
        QualityPredictor.load(saved, embedding=other)
    assert "\n" not in str(refusal.value)


def test_one_without_an_embedding_does_not_look_for_it(folder, monkeypatch):
    monkeypatch.setattr(embeddings, "distribution", _nothing_installed)
    assert QualityPredictor.load(folder).manifest.embedding is None


def test_a_missing_extra_is_one_line(saved, monkeypatch):
    monkeypatch.setattr(embeddings, "distribution", _nothing_installed)
    with pytest.raises(ModelUnavailable, match=r"pip install 'tiercel\[embedding\]'") as refusal:
        QualityPredictor.load(saved)
    assert "\n" not in str(refusal.value)


def test_a_manifest_of_another_width_than_its_model_is_refused(saved, tiny, tmp_path):
    wider = encoder(tmp_path / "wider", np.hstack((STATES, STATES)))
    path = saved / MANIFEST_FILE
    changed = json.loads(path.read_text()) | {"embedding": wider.record.model_dump()}
    path.write_text(json.dumps(changed))
    with pytest.raises(ModelUnavailable, match="of another shape"):
        QualityPredictor.load(saved, embedding=wider)


@pytest.mark.parametrize("broken", ["model.onnx", "tokenizer.json"])
def test_files_that_are_none_are_named_in_one_line(tiny, tmp_path, broken):
    encoder(tmp_path)
    files = (tmp_path / "model.onnx", tmp_path / "tokenizer.json")
    (tmp_path / broken).write_bytes(b"none")
    with pytest.raises(ModelUnavailable, match=broken) as refusal:
        Embedding("tiny", *files)
    assert "\n" not in str(refusal.value)
    (tmp_path / broken).unlink()
    with pytest.raises(ModelUnavailable, match="No such file"):
        Embedding("tiny", *files)


def test_anchors_are_embedded_as_the_predictors_prompts_were(saved, tiny):
    rows = embedded(60, tiny)
    rows = replace(rows, plan_names=("small", "new"))
    asked = tuple(Asked("s", str(at), 0.0) for at in range(60))
    measured = Measured(rows, asked, {}, {}, tiny.record)
    assert add_tier(saved, measured, "new", settings=QUICK).added["new"].num_anchors == 60
    said = QualityPredictor.load(saved, embedding=tiny).predict(
        "much", temperature=0.0, max_new_tokens=9
    )
    assert "new" in said.quality
    with pytest.raises(InvalidRequest, match="embedding"):
        add_tier(saved, replace(measured, embedding=None), "new", settings=QUICK)


def test_minilm_finds_alike_what_means_the_same():
    try:
        encode = installed()
    except ModelUnavailable as error:
        pytest.skip(str(error))
    asked, same, other = map(
        encode,
        (
            "How many apples are left in the basket?",
            "What number of pieces of fruit remain in the box?",
            "Which court has jurisdiction over the appeal?",
        ),
    )
    assert (encode.record.size, asked.shape) == (384, (384,))
    assert asked @ asked == pytest.approx(1.0, abs=1e-5)
    assert asked @ same > 0.4 + asked @ other


def _nothing_installed(name: str):
    raise PackageNotFoundError(name)
