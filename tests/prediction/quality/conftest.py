"""One small fitted model for all tests."""

from pathlib import Path

import pytest

from tests.prediction.quality.prompts import QUICK, examples

pytest.importorskip("scipy", reason="needs the extra `train`")

from tiercel.prediction.examples import Examples
from tiercel.prediction.quality import QualityModel, fit_quality
from tiercel.prediction.quality.exporting import About
from tiercel.prediction.quality.manifest import PlanRecord, TierRecord


@pytest.fixture(scope="session")
def known() -> Examples:
    return examples(240)


@pytest.fixture(scope="session")
def calibrating() -> Examples:
    return examples(200, seed=1)


@pytest.fixture(scope="session")
def asked() -> Examples:
    return examples(200, seed=2)


@pytest.fixture(scope="session")
def model(known: Examples, calibrating: Examples) -> QualityModel:
    return fit_quality(known, calibrating, settings=QUICK, seed=0)


@pytest.fixture(scope="session")
def about() -> About:
    plans = [
        PlanRecord(name=name, num_scores=240, num_lengths=240, mean_score=0.5)
        for name in ("small", "large")
    ]
    tier = TierRecord(model="a model", dtype="int4", weights_digest="abc")
    return About(tuple(plans), {"small": tier}, {"x": "y"}, 440, 200, ("sum", "code"), 0, "tests")


@pytest.fixture
def folder(model: QualityModel, about: About, tmp_path: Path) -> Path:
    model.export(tmp_path / "predictor", about)
    return tmp_path / "predictor"
