"""`tiercel train`: outcomes of a running router in, a predictor that the router can load out."""

import json

import pytest

from tests.cli.conftest import has_one_line
from tiercel.prediction.predictor import Predictor

pytest.importorskip("skl2onnx", reason="needs the extra `train`")


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"question {n}?"}) for n in range(24)))
    return str(path)


def test_it_records_every_prompt_under_every_plan_and_fits(tiercel, router, prompts, tmp_path):
    out = tmp_path / "predictor"
    result = tiercel(
        *("train", "--out", str(out), "--prompts", prompts, "--plan", "chain", "--plan", "alone"),
        *("--temperature", "0", "--temperature", "1", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    manifest = json.loads(result.stdout)
    assert (manifest["num_outcomes"], manifest["num_prompts"]) == (24 * 2 * 2, 24)
    predictor = Predictor.load(out)
    seconds = predictor.predict("question 3?", temperature=0.0, max_new_tokens=64).seconds
    assert seconds == pytest.approx({"chain": 0.5, "alone": 0.5}, rel=0.1)
    assert not predictor.manifest.has_quality


def test_it_fits_again_on_what_was_recorded(tiercel, router, prompts, tmp_path):
    out = str(tmp_path / "predictor")
    assert tiercel("train", "--out", out, "--prompts", prompts, "--plan", "alone").exit_code == 0
    asked = len(router.requests)
    result = tiercel("train", "--out", out, "--no-record")
    assert result.exit_code == 0, result.stderr
    assert "24 outcomes of 24 prompts" in result.stdout
    assert len(router.requests) == asked


def test_too_few_outcomes_are_one_line(tiercel, tmp_path):
    (tmp_path / "outcomes.jsonl").touch()
    result = tiercel("train", "--out", str(tmp_path), "--no-record")
    assert has_one_line(result, 1, "at least 20 are needed")
