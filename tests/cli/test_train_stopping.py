"""`tiercel train stopping`: an outcome matrix in, one policy for each check point out."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.prediction.quality.test_outcome_examples import rows
from tiercel.evaluation.evidence import halves
from tiercel.evaluation.matrix import CellsManifest, CellStore, TierIdentity
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import SETS
from tiercel.evaluation.step_cost import STEP_TIMES_FILE, StepTimes, TierTimes
from tiercel.prediction.quality import judging
from tiercel.stopping.policy_file import load
from tiercel.types import FinishReason

COUNT, SET = 60, "gsm8k_test"
PASS_S = {"small": 0.01, "large": 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a matrix: small is right where it is sure, large always."""
    folder = tmp_path_factory.mktemp("stopping")
    (folder / f"{SET}.jsonl").write_text("\n".join(map(json.dumps, rows(SET, COUNT))))
    hashes = {item.id: item.prompt_hash for item in SETS[SET].read(folder).items}
    for tier in PASS_S:
        outcomes = [outcome(tier, at, hashes[f"{SET}-{at}"]) for at in range(COUNT)]
        CellStore(folder / "outcomes", tier, manifest(tier, folder)).add(outcomes)
    times = {
        tier: TierTimes(prefill_s=0.0, prompt_token_s=0.0, pass_s={1: seconds, 8: seconds})
        for tier, seconds in PASS_S.items()
    }
    StepTimes(tiers=times).save(folder / "outcomes" / STEP_TIMES_FILE)
    return folder


def manifest(tier: str, folder: Path) -> CellsManifest:
    about = {"model": tier, "engine": "native", "dtype": "int4", "weights_digest": tier}
    return CellsManifest(
        column=tier,
        set_name=SET,
        data_digest=SETS[SET].read(folder).digest,
        set_digest=SETS[SET].digest,
        tiers={tier: TierIdentity(**about, tokenizer_fingerprint=tier)},
    )


def outcome(tier: str, at: int, prompt_hash: int) -> Outcome:
    is_right = tier == "large" or at % 2 == 0
    numbers = halves([-0.1 - 2.0 * (not is_right) - 0.001 * (at % 7)] * 20)
    return Outcome(
        prompt_id=f"{SET}-{at}",
        prompt_hash=prompt_hash,
        numerics_id="n",
        token_ids=tuple(range(20)),
        finish=FinishReason.STOP_TOKEN,
        scores={"exact": float(is_right)},
        logprobs=numbers,
        entropies=numbers,
        margins=numbers,
        counts={f"passes.{tier}": 20, f"prompt_tokens.{tier}": 5},
    )


def test_a_policy_is_fitted_for_each_check_point(tiercel, folder, tmp_path):
    places = ("--outcomes", str(folder / "outcomes"), "--out", str(tmp_path))
    options = ("--check-point", "8", "--check-point", "0", "--weight", "0.02", "--weight", "0.2")
    result = tiercel("train", "stopping", *places, *options, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert set(told) == {"after-8", "whole"}
    for name, point in (("after-8", 8), ("whole", None)):
        policy = load(tmp_path / f"{name}.json")
        assert (policy.stages, policy.prefix_tokens) == (("small", "large"), point)
        assert policy.recall == (point is None) and not policy.reads_forecasts
        assert policy.cost_weight == 0.2, "the largest that loses nothing"
        assert policy.trained_on == f"{COUNT} prompts of {SET}"
        chosen = told[name]["choice"]["chosen"]
        assert chosen["early_share"] == pytest.approx(0.5)
        assert chosen["quality"] == 1.0
        # Half of two seconds are saved, at a fifth of a point each, and the small tier is paid.
        saved_s = 2.0 - chosen["seconds"]
        assert told[name]["advantage"] == pytest.approx(0.2 * saved_s) and saved_s > 0.5
    shown = tiercel("train", "stopping", *places, *options).stdout
    assert "after-8" in shown and "advantage" in shown and "2 policies in" in shown


def test_where_every_weight_loses_too_much_there_is_no_file(tiercel, folder, tmp_path):
    places = ("--outcomes", str(folder / "outcomes"), "--out", str(tmp_path))
    result = tiercel("train", "stopping", *places, "--check-point", "8", "--weight", "5")
    assert result.exit_code == 0, result.stderr
    assert "every weight loses too much" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_starts_may_read_what_is_predicted(tiercel, folder, tmp_path, monkeypatch):
    """The predictor is another test's concern: here it is right about every prompt."""

    def predicted(examples, whole, settings, seed, num_folds):
        return np.nan_to_num(examples.scores)

    monkeypatch.setattr(judging, "cross_validated", predicted)
    places = ("--outcomes", str(folder / "outcomes"), "--out", str(tmp_path))
    options = ("--check-point", "8", "--weight", "0.2", "--data", str(folder))
    result = tiercel("train", "stopping", *places, *options)
    assert result.exit_code == 0, result.stderr
    policy = load(tmp_path / "after-8.json")
    assert policy.reads_forecasts
    gain = policy.starts[0].gain
    known, unknown = (np.array([[own, 1.0, own**2, 0.0]]) for own in (1.0, 0.0))
    assert gain(unknown)[0] - gain(known)[0] > 0.8


def test_one_tier_is_no_cascade(tiercel, folder, tmp_path):
    places = ("--outcomes", str(folder / "outcomes"), "--out", str(tmp_path))
    result = tiercel("train", "stopping", *places, "--stage", "small", "--set", "nothing")
    assert result.exit_code != 0 and "nothing" in result.stderr
