"""What a drafter needs, against targets simple enough to work out by hand."""

import json
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench import economics
from bench.economics import Target, cells


def target(per_row: float, round_trip_s: float = 0.0) -> Target:
    """A pass over one token takes a second."""
    return Target({width: 1 + per_row * (width - 1) for width in economics.WIDTHS}, round_trip_s)


def test_a_free_drafter_of_a_flat_target_gives_its_expected_tokens():
    speed_up, length = target(0.0).speed_up(0.5, 0.0)
    assert length == economics.LONGEST_BLOCK
    assert speed_up == pytest.approx(2.0, abs=1e-4)  # 1 + 1/2 + 1/4 + ...
    assert target(0.0).least_acceptance(2.0, 0.0) == pytest.approx(0.5, abs=2e-3)


def test_one_token_is_all_that_a_dear_drafter_is_asked_for():
    # 1 + a tokens for 1.1 + 0.9 seconds: twice the tokens at a = 1.
    assert target(0.1).speed_up(1.0, 0.9) == (pytest.approx(1.0), 0)
    assert target(0.1).speed_up(1.0, 0.5)[0] == pytest.approx(17 / (16 * 0.5 + 1 + 1.6))


def test_without_gain_there_is_plain_decoding():
    assert target(0.1).speed_up(0.0, 0.0) == (1.0, 0)
    assert target(0.1).speed_up(0.9, 5.0) == (1.0, 0)
    assert target(0.1, round_trip_s=100.0).speed_up(0.9, 0.0) == (1.0, 0)


@given(
    st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.5), st.sampled_from([1.1, 1.5, 2.2, 3.0])
)
def test_the_least_acceptance_is_the_least(
    per_row: float, trip: float, draft_s: float, goal: float
):
    found, least = target(per_row, trip), target(per_row, trip).least_acceptance(goal, draft_s)
    if least is None:
        assert found.speed_up(1.0, draft_s)[0] < goal
        return
    assert found.speed_up(least, draft_s)[0] >= goal
    assert least == 0 or found.speed_up(least - 0.001, draft_s)[0] < goal


def test_dearer_drafters_need_more():
    needs = [cell.least_acceptance for cell in cells(target(0.1), (0, 100, 300, 5000), (1.5,))]
    assert needs[:3] == sorted(needs[:3]) and needs[0] < needs[2]
    assert needs[3] is None


def test_the_command_measures_prints_and_writes(tmp_path: Path):
    app, out = typer.Typer(), tmp_path / "figures.json"
    app.command()(economics.main)
    simulated = "NAME?base_s=0.004&per_token_s=0.0001"
    arguments = ["--engine", "simulated", "--dtype", "none", "--model", simulated]
    arguments += ["--repeats", "3", "--goal", "1.5", "--drafter-ms", "0", "--json", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "speed-up by acceptance" in result.stdout
    figures = json.loads(out.read_text())
    assert set(map(int, figures["pass_ms"])) == set(economics.WIDTHS)
    assert min(figures["pass_ms"].values()) >= 4  # a pass sleeps so long
    [cell] = figures["cells"]
    assert (cell["drafter_ms"], cell["goal"]) == (0, 1.5)
