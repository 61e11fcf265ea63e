"""The whole replay on a made-up table: no stream is known beforehand, and all is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.frontier_tables import knowing, memorising, table_of
from tiercel.evaluation.frontier.result_file import write_report
from tiercel.evaluation.learning.audits import Auditing
from tiercel.evaluation.learning.experiment import Settings, replayed_all
from tiercel.evaluation.learning.learners import Unlearned
from tiercel.evaluation.learning.markdown import markdown
from tiercel.evaluation.learning.plots import draw
from tiercel.evaluation.learning.prepared import prepared
from tiercel.evaluation.learning.scenarios import Scale
from tiercel.evaluation.learning.subjects import drafting_of, subject_of
from tiercel.evaluation.matrix import Cells, CellsManifest
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.step_cost import StepTimes, TierTimes
from tiercel.routing.costs import Cheapest
from tiercel.types import FinishReason

SETTINGS = Settings(
    Scale(num_streams=2, num_before=200, num_after=260),
    half_life=50.0,
    num_runs=4,
    auditing=Auditing(num_requests=800, drift_at=400),
    own={"mine": lambda problem: Unlearned(Cheapest())},
)
TIMES = StepTimes(
    tiers={
        name: TierTimes(prefill_s=0.0, prompt_token_s=0.0, pass_s={1: seconds})
        for name, seconds in (("small", 0.1), ("middle", 0.2), ("large", 1.0))
    }
)


def test_no_prompt_of_the_stream_is_known_to_what_was_fitted():
    table = table_of(200)
    found = prepared(table, memorising, refresh=5)
    told = np.array([[one.quality for one in each.forecasts] for each in found.world.situations])
    assert len(told) == 60
    assert (told == told[0]).all()  # the mean of what was memorised; scores are 0 and 1
    assert 0 < told[0, 0] < 1


def test_at_the_fair_price_the_cheapest_and_the_best_plan_are_worth_the_same():
    table = table_of(2000)
    found = prepared(table, knowing, refresh=5)
    worth = table.scores.mean(axis=0) - found.fair_weight * table.costs.mean(axis=0)
    assert worth[0] == pytest.approx(worth[-1], abs=0.03)
    assert found.weighed(0.5).world.cost_weight == found.fair_weight / 2
    assert found.weighed(0.5).problem.cost_weight == found.fair_weight / 2


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory):
    subject = subject_of(table_of(200), knowing, out=None, times=None, refresh=25)
    subject = replace(subject, drafting=drafting_of(TIMES, [answers("large")]))
    return replayed_all(subject, SETTINGS)


def answers(tier: str, count: int = 20, matches: tuple[str, ...] = ()) -> Cells:
    """Answers of five tokens, and what drafters would have said."""
    manifest = CellsManifest(column=tier, set_name="sums", data_digest="", set_digest="", tiers={})
    said = {name: np.ones(5, np.bool_) for name in matches}
    one = Outcome("p", 0, "", (1,) * 5, FinishReason.LENGTH, {"exact": 1.0}, matches=said)
    return Cells(Path(), manifest, (one,) * count)


def test_recorded_matches_are_taken_where_both_drafters_have_them():
    found = drafting_of(TIMES, [answers("large", matches=("small", "middle"))])
    assert found is not None and not found.is_synthetic and found.new == "middle"
    assert found.matches["small"][0].all() and found.root == TIMES.of("large")
    made_up = drafting_of(TIMES, [answers("large", matches=("small",))])
    assert made_up is not None and made_up.is_synthetic
    assert [len(one) for one in made_up.matches["small"]] == [5] * 20
    assert drafting_of(TIMES, [answers("middle")]) is None


def test_everyone_is_replayed_in_every_scenario(replay):
    report, drawn = replay
    assert {one.scenario for one in report.results} == set(report.changes)
    assert {one.learner for one in report.results if one.feedback == "20 % flipped"} == {
        "thompson",
        "utility, rated",
        "mine",
    }
    assert [one.half_life for one in report.half_lives][-1] == float("inf")
    assert len(report.coverage) == 9 and len(report.drafting) == 6
    assert ("steady", "all", "mine") in drawn.curves


def test_it_is_written_with_seeds_and_what_is_made_up_is_called_so(replay, tmp_path: Path):
    report, drawn = replay
    write_report(tmp_path / "r.json", report)
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["schema_version"] == 1 and found["results"][0]["seeds"] == [0, 1]
    assert all(one["is_synthetic"] for one in found["coverage"] + found["drafting"])
    figures = [path.name for path in draw(drawn, tmp_path, "r")]
    assert all((tmp_path / name).stat().st_size > 1000 for name in figures)
    text = markdown(replace(report, sources={"made.jsonl": "00"}), figures)
    changed = [line for line in text.splitlines() if line.startswith("### ")]
    assert len(changed) == 5 and all("synthetic" in line for line in changed)
    assert "synthetic acceptance" in text and "`made.jsonl` 00" in text
    assert text.count("(synthetic)") >= 9 + 3
