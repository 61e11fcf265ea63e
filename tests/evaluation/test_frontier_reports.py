"""From data files to a report: tables that are read, and what the command writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.evaluation.conftest import data_folder
from tests.evaluation.frontier_tables import Said, knowing, table_of
from tiercel.cli.evaluation import app
from tiercel.errors import InvalidRequest
from tiercel.evaluation.frontier.experiment import Settings, evaluated
from tiercel.evaluation.frontier.markdown import markdown
from tiercel.evaluation.frontier.matrix_tables import LETTERS, LOSSY, matrix_table
from tiercel.evaluation.frontier.recorded_pair import PRICES, read_recorded_pair
from tiercel.evaluation.matrix import read_matrix
from tiercel.evaluation.step_cost import StepTimes, TierTimes
from tiercel.prediction.quality.featuriser import NUM_BUCKETS

WEAK, STRONG = PRICES


def recorded(count: int, *, first: int = 0, subject: str = "") -> list[dict[str, object]]:
    """Rows of the recorded pair's kind: the weak model fails where a word says so."""
    rows = []
    for at in range(first, first + count):
        word = "prove" if at % 2 else "name"
        correct = {WEAK: not at % 2, STRONG: at % 5 != 0}
        meta = {"routellm_correct": correct, "subject": subject}
        rows.append({"prompt": f"{word} thing {at * 7919 % 1009}", "meta": meta})
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [*recorded(60, first=40, subject="law"), {"prompt": "nobody was asked", "meta": {}}]
    path = tmp_path_factory.mktemp("recorded")
    return data_folder(path, gsm8k_test=recorded(40), mmlu_test=rows)


def features(text: str) -> np.ndarray:
    return np.array([len(text), "prove" in text], np.float32)


def test_the_recorded_pair_is_read_with_its_prices(folder: Path):
    table = read_recorded_pair(folder, ["gsm8k_test", "mmlu_test"], features, {WEAK: 2, STRONG: 6})
    assert len(table) == 100
    assert table.plan_names == (WEAK, STRONG)
    assert table.costs[0].tolist() == [2, 6]
    assert table.scores.mean(axis=0).tolist() == [0.5, 0.8]
    assert set(table.strata) == {"gsm8k_test", "mmlu_test law"}
    assert table.sources.keys() == {"gsm8k_test.jsonl", "mmlu_test.jsonl"}


def test_one_model_alone_is_no_choice(folder: Path):
    with pytest.raises(InvalidRequest, match="nothing to route"):
        read_recorded_pair(folder, ["gsm8k_test"], features, {WEAK: 1})


TIMES = StepTimes(
    tiers={
        name: TierTimes(prefill_s=0.5, prompt_token_s=0.0, pass_s={1: seconds})
        for name, seconds in (("small", 1.0), ("large", 2.0))
    }
)


def test_the_matrix_is_read_as_a_table_of_letters_with_costs(whole: Path, data: Path):
    table = matrix_table(
        LETTERS, read_matrix(whole), data, TIMES, lambda messages: np.ones(3, np.float32)
    )
    assert set(table.plan_names) == {"small", "large"}
    assert set(table.kinds) == {"openbookqa_test"}
    assert (table.costs == 0.5).all()  # one pass over the prompt


def test_texts_of_the_matrix_have_evidence_samples_and_costs(whole: Path, data: Path):
    table = matrix_table(
        "texts", read_matrix(whole), data, TIMES, lambda messages: np.ones(3, np.float32)
    )
    assert table.plan_names == ("small", "large")
    tokens = table.examples.num_tokens
    assert table.costs == pytest.approx(0.5 + (tokens - 1) * [1.0, 2.0])
    assert (table.prefixes[8].costs <= table.costs + 1e-9).all()
    assert table.prefixes[8].costs[tokens > 16].max() < table.costs[tokens > 16].min()
    assert table.examples.evidence.any()
    assert table.samples.shape[2] == 2


def test_there_are_no_lossy_plans_before_they_are_collected(whole: Path, data: Path):
    with pytest.raises(InvalidRequest, match="no lossy column"):
        matrix_table(LOSSY, read_matrix(whole), data, TIMES, lambda messages: np.ones(3))


def test_other_data_than_the_matrix_was_made_of_is_refused(whole: Path, data: Path, tmp_path: Path):
    for path in data.glob("*.jsonl"):
        (tmp_path / path.name).write_text(path.read_text() + "\n")
    with pytest.raises(InvalidRequest, match="not the file"):
        matrix_table(LETTERS, read_matrix(whole), tmp_path, TIMES, lambda messages: np.ones(3))


def test_a_report_holds_every_part():
    table = table_of(150, num_samples=3)
    settings = Settings(knowing, 2, with_ablations=True, num_replicates=200, num_weights=2)
    report = evaluated(table, settings)
    assert set(report.by_kind) | set(report.not_routed) == {"easy", "hard"}
    assert report.left_out.num_prompts == 150
    assert [one.knowledge for one in report.predictions] == [
        "text",
        "text and 32 tokens",
        "text and whole answers",
    ]
    assert report.predictions[0].median_auroc_within_kind > 0.55
    assert report.luck.num_samples == 3
    assert {one.name for one in report.ablations} >= {"whole", "hashed n-grams only"}
    assert any(one.name.startswith("cascade of 3") for one in report.ablations)
    text = markdown(report, ["a.png"])
    for title in ("Gap closed", "By kind", "Data sets left out", "Luck", "Ablations", "Made with"):
        assert f"## {title}" in text


def reading_one_word(train, calibration, *, settings, seed: int) -> Said:
    """A predictor that takes no time: means of prompts with the word and without it."""
    proves = train.features[:, :NUM_BUCKETS].std(axis=0).argmax()
    asked = train.features[:, proves] > 0
    means = {one: train.scores[asked == one].mean(axis=0) for one in (True, False)}
    return Said(lambda features: np.stack([means[bool(row[proves] > 0)] for row in features]))


def test_the_command_writes_json_markdown_and_figures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # What the predictor is worth is tested elsewhere, and fitting it takes long.
    monkeypatch.setattr("tiercel.prediction.quality.fit_quality", reading_one_word)
    out = tmp_path / "report"
    told = CliRunner().invoke(
        app,
        ["frontier", "--data", str(folder), "--table", "recorded-pair", "--report", str(out)],
    )
    assert told.exit_code == 0, told.output
    assert "gap closed" in told.output
    content = json.loads((out / "frontier-recorded-pair.json").read_text())
    by_name = {one["name"]: one for one in content["everything"]["contenders"]}
    assert by_name["oracle"]["gap_closed"]["mean"] == 1
    assert by_name["hashed ridge"]["gap_closed"]["mean"] > 0.5  # one word tells all
    assert by_name["utility"]["strong_calls"]["average_recovered"] > 0
    assert content["sources"].keys() == {"gsm8k_test.jsonl", "mmlu_test.jsonl"}
    assert {path.name for path in out.glob("*.png")} == {
        f"frontier-recorded-pair-{name}.png"
        for name in ("frontier", "reliability", "shares", "places")
    }
    assert "| utility |" in (out / "frontier-recorded-pair.md").read_text()


@pytest.mark.parametrize("price", ["gpt", "gpt=", "gpt=-1", "=1"])
def test_a_price_that_is_none_is_refused(folder: Path, price: str):
    told = CliRunner().invoke(
        app,
        ["frontier", "--data", str(folder), "--table", "recorded-pair", "--price", price],
    )
    assert told.exit_code != 0
    assert "MODEL=PRICE" in told.output
