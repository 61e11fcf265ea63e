"""`tiercel agreement`: what it prints and writes of what was measured, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import has_one_line
from tests.evaluation.test_agreement import READINGS, SAME, SAMPLES
from tiercel.cli import agreement as command
from tiercel.decoding import AgreementTable
from tiercel.errors import Unavailable


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"p{number}", "task": "code"} for number in range(4)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[command.Work]:
    """What was to be measured; the tiers' readings are scripted."""
    seen = []

    async def measured(work: command.Work, router: str, output) -> command.Found:
        seen.append(work)
        return command.Found("target", SAMPLES, READINGS, SAME)

    monkeypatch.setattr(command, "_measured", measured)
    return seen


def test_it_prints_the_matrix_and_the_curves(tiercel, data, asked):
    result = tiercel("agreement", "--data", data, "--every", "2", "--target", "target")
    assert result.exit_code == 0, result.stderr
    [work] = asked
    assert [(one.text, one.task) for one in work.prompts] == [("p0", "code"), ("p2", "code")]
    assert work.target == "target"
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["one", "0.429", "-", "0.500"] in rows  # under target, one, two
    assert ["all", "2", "3", "0.667"] in rows
    assert "how sure each tier is, over 8 tokens of 2 answers of target" in result.stdout
    assert "the right one was agreed on more" not in result.stdout  # they are of two kinds


def test_it_writes_figures_a_report_and_the_calibration(tiercel, data, asked, tmp_path):
    out = tmp_path / "deep" / "out"
    result = tiercel("agreement", "--data", data, "--out", str(out), "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report == json.loads((out / command.REPORT_FILE).read_text())
    assert (report["num_answers"], report["num_tokens"], report["rank_chance"]) == (2, 8, None)
    table = AgreementTable.load(out / command.TABLE_FILE)
    assert (table.target, table.drafters, table.temperature) == ("target", ("one", "two"), 0.0)
    assert table.measured_on == "8 tokens of 2 answers to prompts.jsonl"
    assert [one.num_tokens for one in table.kinds[""][2]] == [3]
    for name in (command.MATRIX_FILE, command.CURVES_FILE):
        assert "<svg" in (out / name).read_text()


def test_recorded_answers_are_greedy(tiercel, data, asked, tmp_path):
    recorded = ("agreement", "--data", data, "--answers", str(tmp_path))
    assert tiercel(*recorded, "--temperature", "0.5").exit_code == 2
    assert tiercel(*recorded).exit_code == 0
    assert asked[0].prompts == []


def test_a_router_that_is_away_is_one_line(tiercel, data, monkeypatch):
    async def away(*_):
        raise Unavailable("no router at localhost:1")

    monkeypatch.setattr(command, "_measured", away)
    assert has_one_line(tiercel("agreement", "--data", data), 1, "no router")
