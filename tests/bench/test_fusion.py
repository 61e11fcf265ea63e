"""`python -m bench.fusion` answers what has no result yet, and prints every method's row."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench.fusion.__main__ import main
from tests.tiny_model import tiny_gguf
from tiercel.decoding.cosd_tree import CosdTree, Leaf
from tiercel.evaluation.fusion.results import read_results

ROWS = ("draft alone", "target alone", "average", "CoSD rule", "CoSD rule, turned")


@pytest.fixture
def fusion(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.nice", lambda step: None)
    rows = [
        {"id": str(n), "prompt": "?", "meta": {"solution": f"{n} + 2 = {n + 2}"}} for n in (3, 4)
    ]
    (tmp_path / "gsm8k_test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    draft, target = (str(tiny_gguf(tmp_path, noise=noise)) for noise in (0.05, 0.0))
    app = typer.Typer()
    app.command()(main)
    command = ["--draft", draft, "--target", target, "--engine", "onnx", "--dtype", "fp32"]
    command += ["--data", str(tmp_path), "--set", "gsm8k_calculations"]
    command += ["--out", str(tmp_path / "results" / "pair.jsonl")]
    return lambda *more: CliRunner().invoke(app, [*command, *more])


def test_it_runs_goes_on_and_prints(fusion, tmp_path: Path):
    CosdTree(Leaf(True, 5)).save(tmp_path / "tree.json")
    assert fusion("--items", "1").exit_code == 0
    few = read_results(tmp_path / "results" / "pair.jsonl")
    result = fusion("--tree", f"any={tmp_path / 'tree.json'}")
    assert result.exit_code == 0, result.output
    every = read_results(tmp_path / "results" / "pair.jsonl")
    assert (len(few), len(every)) == (len(ROWS), 2 * (len(ROWS) + 1))
    assert every[: len(few)] == few
    assert all(row in result.stdout for row in (*ROWS, "CoSD tree, any"))
    told = fusion("--table")
    assert told.exit_code == 0 and told.stdout == result.stdout


def test_a_tree_without_a_name_is_one_line(fusion):
    result = fusion("--tree", "tree.json")
    assert result.exit_code == 1
    assert "NAME=FILE" in result.stderr
