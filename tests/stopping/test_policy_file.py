"""A policy comes back from its file as it was, and nothing else is taken for one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.stopping.synthetic import ladder
from tiercel.errors import ModelUnavailable
from tiercel.stopping.fitting import fit
from tiercel.stopping.policy import StoppingPolicy
from tiercel.stopping.policy_file import load, of_json, save, to_json
from tiercel.stopping.starts import expected


@pytest.fixture(scope="module")
def policy() -> StoppingPolicy:
    data = replace(ladder(100, 0), stage_digests=("x", "y", "z"))
    kinds = ("code", "facts") * 50
    return fit(replace(data, kinds=kinds), 0.05, recall=True, trained_on="made-up items")


def test_a_policy_comes_back_as_it_was(policy: StoppingPolicy, tmp_path: Path):
    save(policy, tmp_path / "policy.json")
    again = load(tmp_path / "policy.json", evidence_names=("e0", "e1"))
    assert to_json(again) == to_json(policy)
    for name in ("stages", "recall", "cost_weight", "stage_digests", "trained_on"):
        assert getattr(again, name) == getattr(policy, name)
    new = ladder(50, 1)
    for row in range(50):
        asked = (row % 3, new.evidence[row, row % 3], ("code", "facts", "new")[row % 3], 0.3)
        assert again.decide(*asked) == policy.decide(*asked)
    assert [each.name for each in tmp_path.iterdir()] == ["policy.json"]


def test_the_file_names_every_number(policy: StoppingPolicy):
    whole = json.loads(to_json(policy))
    assert whole["schema_version"] == 2
    assert list(whole["scores"][0]["quality"]["columns"]) == [
        "evidence e0", "evidence e1", "kind code", "kind facts",
    ]  # fmt: skip
    gain = whole["continuations"][-1]
    assert (gain["stage"], gain["following"]) == ("a", "b")
    assert list(gain["gain"]["columns"])[2:6] == [
        "score", "score squared", "best score", "best score squared",
    ]  # fmt: skip


def first_column(whole: dict[str, Any]) -> dict[str, Any]:
    return whole["scores"][0]["quality"]["columns"]["evidence e0"]


BREAKS: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("schema_version", lambda whole: whole.update(schema_version=3)),
    ("cost_weight", lambda whole: whole.pop("cost_weight")),
    ("cost_weight", lambda whole: whole.update(cost_weight=-1.0)),
    ("more", lambda whole: whole.update(more=1)),
    ("scale", lambda whole: first_column(whole).update(scale=0.0)),
    ("weight", lambda whole: first_column(whole).update(weight=float("nan"))),
    ("columns are not", lambda whole: whole.update(evidence_names=["e1", "e0"])),
    ("columns are not", lambda whole: whole.update(recall=False)),
    ("not one a stage", lambda whole: whole["scores"].pop()),
    ("not one a stage", lambda whole: whole.update(stage_digests=["x"])),
    ("there twice", lambda whole: whole.update(stages=["a", "a", "b"])),
    ("there twice", lambda whole: whole["continuations"].append(whole["continuations"][0])),
    ("no later stage", lambda whole: whole["continuations"][0].update(following="a")),
    ("no later stage", lambda whole: whole["continuations"][0].update(following="elsewhere")),
    ("starts: not one a stage", lambda whole: whole["starts"].pop()),
    ("ends are not the later", lambda whole: whole["starts"][0]["ends"].pop("b")),
    ("columns are not", lambda whole: whole.update(reads_forecasts=True)),
    ("unfinished", lambda whole: whole.update(prefix_tokens=16)),
    ("prefix_tokens", lambda whole: whole.update(prefix_tokens=0)),
]


@pytest.mark.parametrize(("why", "breaks"), BREAKS)
def test_a_file_that_is_wrong_is_refused_in_one_line(
    why: str, breaks: Callable[[dict[str, Any]], Any], policy: StoppingPolicy, tmp_path: Path
):
    whole = json.loads(to_json(policy))
    breaks(whole)
    (tmp_path / "policy.json").write_text(json.dumps(whole))
    with pytest.raises(ModelUnavailable, match=why) as refused:
        load(tmp_path / "policy.json")
    assert "policy.json" in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_from_before_there_were_starts_has_none(policy: StoppingPolicy):
    whole = json.loads(to_json(policy))
    for name in ("starts", "reads_forecasts"):
        del whole[name]
    again = of_json(json.dumps(whole | {"schema_version": 1}).encode())
    assert again.starts == () and again.continuations and policy.starts


def test_starts_come_back_as_they_were():
    data = replace(ladder(60, 0), forecasts=np.random.default_rng(0).random((60, 3)))
    before = fit(data, 0.05, recall=True)
    after = of_json(to_json(before).encode())
    assert before.reads_forecasts and after.reads_forecasts
    for one, other in zip(before.starts, after.starts, strict=True):
        asked = ("one", before.scores.kinds, (0.3, None, 0.9))
        assert expected(one, *asked) == expected(other, *asked)
        assert one.seconds("one") == other.seconds("one") == other.mean_seconds


def test_what_is_no_policy_at_all_is_refused(policy: StoppingPolicy, tmp_path: Path):
    with pytest.raises(ModelUnavailable, match="No such file"):
        load(tmp_path / "none.json")
    with pytest.raises(ModelUnavailable, match="JSON"):
        of_json(b"{")
    with pytest.raises(ModelUnavailable, match="bytes"):
        of_json(b" " * (1 << 21))


def test_a_policy_for_other_evidence_is_refused(policy: StoppingPolicy, tmp_path: Path):
    save(policy, tmp_path / "policy.json")
    with pytest.raises(ModelUnavailable, match="other evidence"):
        load(tmp_path / "policy.json", evidence_names=("e0",))


def test_numbers_keep_every_bit(policy: StoppingPolicy):
    again = of_json(to_json(policy).encode())
    for a, b in zip(policy.scores.regressors, again.scores.regressors, strict=True):
        assert np.array_equal(a.weights, b.weights) and a.intercept == b.intercept
