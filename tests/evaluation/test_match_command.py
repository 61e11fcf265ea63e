"""Matches are kept beside the answers, made once, and never of other answers or drafters."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.evaluation.conftest import data_folder, questions
from tests.evaluation.runs import collect
from tiercel.cli.__main__ import app
from tiercel.evaluation.matrix import read_matrix
from tiercel.evaluation.outcomes import columns_of
from tiercel.shard_folder import MANIFEST_FILE, ShardFolder, shard_paths

SET = "nq_open_dev"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    choice = {"prompt": "which?\nA. x\nB. y\nAnswer:", "reference": "A"}
    return data_folder(tmp_path / "data", nq_open_dev=questions(6), openbookqa_test=[choice])


@pytest.fixture
def out(chained: Path, data: Path, tmp_path: Path) -> Path:
    collect(chained, data, tmp_path / "out", columns=["large", "middle"], limit=4)
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def polite(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.nice", lambda by: 0)


def match(chained: Path, data: Path, out: Path, *more: str) -> Result:
    asked = ["--data", str(data), "--out", str(out), "--config", str(chained)]
    return CliRunner().invoke(app, ["eval", "match", *asked, *more])


def drafters_of(out: Path, column: str) -> Sequence[Sequence[str]]:
    cells = {(one.manifest.column, one.manifest.set_name): one for one in read_matrix(out)}
    return [sorted(one.matches) for one in cells[column, SET].outcomes]


def test_drafters_that_may_pay_are_matched_and_once(chained: Path, data: Path, out: Path):
    done = match(chained, data, out)
    assert done.exit_code == 0, done.output
    # Those before the root in the file, and those without a model.
    assert drafters_of(out, "middle") == [["large", "lookup"]] * 4
    assert drafters_of(out, "large") == [["lookup"]] * 4
    named = match(chained, data, out, "--drafter", "small", "--column", "large")
    assert named.exit_code == 0 and drafters_of(out, "large") == [["lookup", "small"]] * 4
    folder = out / "large" / SET / "matches" / "small"
    before = {path: path.stat().st_mtime_ns for path in shard_paths(folder)}
    collect(chained, data, out, columns=["large"])
    assert match(chained, data, out, "--drafter", "small", "--column", "large").exit_code == 0
    after = {path: path.stat().st_mtime_ns for path in shard_paths(folder)}
    assert before.items() < after.items() and drafters_of(out, "large")[-1] == ["small"]
    assert match(chained, data, out, "--drafter", "small", "--column", "large").exit_code == 0
    assert set(shard_paths(folder)) == set(after)  # nothing was left to do
    (letters,) = [one for one in read_matrix(out) if one.manifest.set_name != SET][:1]
    assert not any(one.matches for one in letters.outcomes)
    for cells in read_matrix(out):
        for one in cells.outcomes:
            for name, flags in one.matches.items():
                assert flags.dtype == np.bool_ and len(flags) == len(one.token_ids)
                assert len(one.match_probs[name]) == len(flags)
                assert not flags[one.match_probs[name] == 0].any()
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("middle")]
    assert [row[:3] for row in rows] == [["middle", "large", "4"], ["middle", "lookup", "4"]]


def test_another_drafter_under_the_name_is_refused(chained: Path, data: Path, out: Path):
    asked = ("--drafter", "small", "--column", "large")
    assert match(chained, data, out, *asked).exit_code == 0
    manifest = out / "large" / SET / "matches" / "small" / MANIFEST_FILE
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"digest": "0" * 64}))
    refused = match(chained, data, out, *asked)
    assert refused.exit_code == 1 and "digest" in refused.stderr


def test_other_prompts_and_roots_are_refused(chained: Path, data: Path, out: Path, tmp_path: Path):
    text = chained.read_text()
    other = tmp_path / "tiers.toml"
    swapped = text.replace("[tiers.large]", "[tiers.x]").replace("[tiers.middle]", "[tiers.large]")
    other.write_text(swapped.replace("[tiers.x]", "[tiers.middle]"))
    refused = match(other, data, out, "--drafter", "lookup")
    assert refused.exit_code == 1 and "was answered by" in refused.stderr
    path = data / f"{SET}.jsonl"
    path.write_text(path.read_text().replace("follows", "precedes"))
    refused = match(chained, data, out, "--drafter", "lookup")
    assert refused.exit_code == 1 and "is of another file" in refused.stderr
    unknown = match(chained, data, out, "--drafter", "tiny")
    assert unknown.exit_code == 1 and "no such tier" in unknown.stderr


def test_matches_of_other_answers_are_not_read(chained: Path, data: Path, out: Path):
    assert match(chained, data, out, "--drafter", "lookup", "--column", "large").exit_code == 0
    folder = out / "large" / SET
    (cells,) = [one for one in read_matrix(out) if one.folder == folder]
    one, other = cells.outcomes[:2]
    for path in shard_paths(folder):
        path.unlink()
    swapped = [type(one)(**{**vars(one), "token_ids": other.token_ids, "matches": {}})]
    ShardFolder(folder, cells.manifest, "matrix").add(*columns_of(swapped))
    refused = CliRunner().invoke(app, ["eval", "show", "--out", str(out)])
    assert refused.exit_code == 1 and "of another answer" in refused.stderr
