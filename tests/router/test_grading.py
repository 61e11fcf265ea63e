"""A fitted predictor speaks of the tiers here by their names, or by their models."""

from contextlib import AsyncExitStack

import numpy as np
import pytest

from services.router.conversations import Remembered
from services.router.forecasts.grading import QualityGrader
from tests.router.quality_folder import write_predictor
from tests.router.two_tiers import BOUNDS, GRADES, asked, over
from tiercel.errors import ModelUnavailable
from tiercel.prediction.quality.featuriser import NUM_FEATURES, definition_hash
from tiercel.prediction.quality.manifest import TierRecord
from tiercel.prediction.quality.predictor import QualityPredictor
from tiercel.routing.fitting import fit_policies
from tiercel.sessions import Ask
from tiercel.tiers import Tier
from tiercel.types import SamplingParams, StopConditions

ASK = Ask("r", "Why is the sky blue?", SamplingParams(), StopConditions(5))
LOSSY = "big <- small:4; rule=lenient; strictness=0.5"
QUALITIES = {
    "big": (0.9, 0.8),
    "small": (0.5, 0.4),
    LOSSY: (0.7, 0.6),
    "small; votes=4": (0.6, 0.5),
}
RECORDS = {
    "big": TierRecord(model="big-model", dtype="int4", weights_digest="b"),
    "small": TierRecord(model="small-model", dtype="int4", weights_digest="s"),
}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    rates = {"small under big": 0.75}
    folder = write_predictor(tmp_path_factory.mktemp("quality"), QUALITIES, RECORDS, rates)
    return QualityPredictor.load(folder)


def tier(model: str = "", dtype: str = "int4") -> Tier:
    return Tier(
        service="verifier", engine="native", model=model, dtype=dtype, addresses=("localhost:1",)
    )


def test_answers_of_plans_are_known_by_the_names_of_their_tiers(predictor):
    grader = QualityGrader(predictor, {"big": tier(), "small": tier("small-model")})
    graded = grader.grade(ASK, Remembered())
    lossy = "big{lenient=0.5} <- small"
    assert graded.quality == pytest.approx({"big": 0.9, "small": 0.5, lossy: 0.7})
    assert graded.bound == pytest.approx({"big": 0.8, "small": 0.4, lossy: 0.6})
    assert graded.num_tokens == pytest.approx(dict.fromkeys(graded.quality, 5))
    assert graded.acceptance == pytest.approx({"small under big": 0.75})
    assert grader.digest == predictor.manifest.model_sha256
    assert len(graded.features) > 4000


def test_a_tier_of_another_name_is_known_by_its_model(predictor):
    served = {
        "target": tier("/models/big-model.gguf"),
        "draft": tier("small-model"),
        "fp32": tier("small-model", "fp32"),
        "other": tier("unheard-of"),
    }
    graded = QualityGrader(predictor, served).grade(ASK, Remembered())
    assert graded.quality == pytest.approx(
        {
            "target": 0.9,
            "draft": 0.5,
            "fp32": 0.5,
            "target{lenient=0.5} <- draft": 0.7,
            "target{lenient=0.5} <- fp32": 0.7,
        }
    )
    assert graded.acceptance.keys() == {"draft under target", "fp32 under target"}


def test_another_model_under_a_known_name_is_refused(predictor):
    with pytest.raises(ModelUnavailable, match="'big-model' as tier 'big', which is 'small-model'"):
        QualityGrader(predictor, {"big": tier("small-model")})


async def test_fitted_policies_get_features_without_a_predictor_of_quality(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.random((8, NUM_FEATURES), np.float32)
    scores = np.tile(np.array([0.2, 0.9], np.float32), (8, 1))
    fit_policies(
        rows,
        scores,
        np.zeros_like(scores),
        ("small", "large"),
        tmp_path / "fitted",
        features_definition=definition_hash(),
        size=3,
    )
    async with AsyncExitStack() as stack:
        client = await over(stack, tmp_path, fitted_policies=str(tmp_path / "fitted"))
        for policy in ("knn", "metallm", "reward_argmax"):
            decision = await client.route(asked(policy))
            assert decision.plan_name == "drafted", "the soonest with the large tier's answer"
            assert not decision.insufficient_evidence
        assert decision.predictor_digest == ""


async def test_the_predictor_that_ships_needs_no_path(tmp_path):
    async with AsyncExitStack() as stack:
        client = await over(stack, tmp_path, quality="shipped")
        decision = await client.route(asked("utility"))
        assert decision.predictor_digest == QualityPredictor.load().manifest.model_sha256


async def test_the_router_takes_qualities_from_the_folder_of_its_settings(tmp_path):

    pairs = {name: (GRADES[name], BOUNDS[name]) for name in GRADES}
    folder = write_predictor(tmp_path / "quality", pairs, {})
    async with AsyncExitStack() as stack:
        client = await over(stack, tmp_path, quality=str(folder))
        decision = await client.route(asked("target", target_quality=0.8))
        assert decision.plan_name == "drafted"
        assert decision.predictor_digest == QualityPredictor.load(folder).manifest.model_sha256
        candidates = {one.plan_name: one for one in decision.candidates}
        assert candidates["large"].predicted_quality == pytest.approx(0.9)
        assert candidates["small"].quality_bound == pytest.approx(0.5)
        assert candidates["small"].predicted_s == pytest.approx(25 * 0.001 + 10 * 0.01, rel=1e-3)
