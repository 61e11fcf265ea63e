"""From data files to a report: tables that are read, and what the command writes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.evaluation.conftest import data_folder
from tests.evaluation.frontier_tables import Said, folds_of, knowing, replayed, table_of
from tests.prediction.quality.tiny_encoder import encoder
from tiercel.cli.evaluation import app
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.evaluation.frontier.ablations import ablated
from tiercel.evaluation.frontier.experiment import Settings, evaluated
from tiercel.evaluation.frontier.markdown import markdown
from tiercel.evaluation.frontier.matrix_tables import LETTERS, LOSSY, matrix_table
from tiercel.evaluation.frontier.recorded_pair import PRICES, read_recorded_pair
from tiercel.evaluation.frontier.sweeps import Oracle, Sweep, predicted
from tiercel.evaluation.frontier.table import Table
from tiercel.evaluation.matrix import read_matrix
from tiercel.evaluation.step_cost import StepTimes, TierTimes
from tiercel.prediction.quality.featuriser import NUM_BUCKETS, NUM_FEATURES

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


def test_a_tier_that_was_asked_no_letters_is_no_plan_of_theirs(whole: Path, data: Path):
    cells = read_matrix(whole)
    third = [
        replace(one, manifest=one.manifest.model_copy(update={"column": "third"}))
        for one in cells
        if one.manifest.set_name != "openbookqa_test"
    ]
    table = matrix_table(
        LETTERS, [*cells, *third], data, TIMES, lambda messages: np.ones(3, np.float32)
    )
    assert set(table.plan_names) == {"small", "large"}


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
    closed = {one.name: one.gap_closed.mean for one in report.ablations}
    assert not any("MiniLM" in name for name in closed)
    assert closed["told 32 tokens of every plan for nothing"] == closed["whole"]  # it reads none
    cascades = ("cascade of 3: small, middle, large", "cascade of 3 without evidence")
    assert closed[cascades[1]] < closed[cascades[0]] - 0.1
    text = markdown(report, ["a.png"])
    for title in ("Gap closed", "By kind", "Data sets left out", "Luck", "Ablations", "Made with"):
        assert f"## {title}" in text


def test_an_embedding_stands_beside_the_n_grams_or_replaces_them():
    table = table_of(200, num_plans=2)
    chances, misled = table.examples.features, np.zeros((200, 4), np.float32)
    misled[:, :2] = np.random.default_rng(0).random((200, 2))

    def reading(train, calibration) -> Said:
        return Said(lambda rows: rows[:, :2] + (rows[:, 4:6] if rows.shape[1] > 4 else 0))

    def closed(features: np.ndarray, embedded: np.ndarray | None) -> dict[str, float]:
        none = np.zeros((200, 2, 0), np.float32)
        own = replace(table, examples=replace(table.examples, features=features, evidence=none))
        own = replace(own, prefixes={})
        folds = folds_of(own, reading)
        whole, oracle = (replayed(one, folds) for one in (Sweep("u", predicted), Oracle()))
        found = ablated(
            own, folds, whole, oracle, num_signals=2, num_replicates=50, embedded=embedded
        )
        return {one.name: one.gap_closed.mean for one in found}

    told = closed(misled, chances[:, :2])
    assert told["MiniLM in place of hashed n-grams"] > told["MiniLM beside hashed n-grams"]
    assert told["MiniLM in place of hashed n-grams"] > told["whole"] + 0.1
    # What is told beside blind features is as good as if the features told it themselves.
    right = np.hstack((chances[:, :2], np.zeros((200, 2), np.float32)))
    assert told["MiniLM in place of hashed n-grams"] == closed(right, None)["whole"]


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
    out, own = tmp_path / "report", "tiercel.routing.qualities:Utility"
    command = ["frontier", "--data", str(folder), "--table", "recorded-pair", "--policy", own]
    told = CliRunner().invoke(app, [*command, "--report", str(out)])
    assert told.exit_code == 0, told.output
    assert "gap closed" in told.output
    content = json.loads((out / "frontier-recorded-pair.json").read_text())
    by_name = {one["name"]: one for one in content["everything"]["contenders"]}
    assert by_name["oracle"]["gap_closed"]["mean"] == 1
    assert by_name["hashed ridge"]["gap_closed"]["mean"] > 0.5  # one word tells all
    assert by_name[own]["gap_closed"] == by_name["utility"]["gap_closed"]
    assert by_name["utility"]["strong_calls"]["average_recovered"] > 0
    assert content["sources"].keys() == {"gsm8k_test.jsonl", "mmlu_test.jsonl"}
    assert {path.name for path in out.glob("*.png")} == {
        f"frontier-recorded-pair-{name}.png"
        for name in ("frontier", "reliability", "shares", "places")
    }
    assert "| utility |" in (out / "frontier-recorded-pair.md").read_text()


def test_ablations_look_at_an_embedding_if_one_is_installed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def seen_by_then(table: Table, settings: Settings, told: object) -> None:
        seen.append((table, settings.embedded))
        raise ValueError("enough was seen")

    def missing() -> None:
        raise ModelUnavailable("it is not installed")

    def told(*flags: str) -> str:
        command = ["frontier", "--data", str(folder), "--table", "recorded-pair", *flags]
        return CliRunner().invoke(app, command).output

    seen: list[tuple[Table, np.ndarray | None]] = []
    monkeypatch.setattr("tiercel.evaluation.frontier.experiment.evaluated", seen_by_then)
    tiny = encoder(tmp_path)
    installed = "tiercel.prediction.quality.embedding.installed"
    monkeypatch.setattr(installed, lambda: tiny)
    assert "no ablation" not in told("--ablations") + told()
    monkeypatch.setattr(installed, missing)
    assert "no ablation of an embedding: it is not installed" in told("--ablations")
    (table, embedded), *others = seen
    assert embedded is not None
    assert (embedded == np.stack([tiny(text) for text in table.texts])).all()
    assert embedded[:, 2].tolist() == [float("prove" in text) for text in table.texts]
    assert [one for _, one in others] == [None, None]
    assert {one.examples.features.shape for one, _ in seen} == {(100, NUM_FEATURES)}


@pytest.mark.parametrize("price", ["gpt", "gpt=", "gpt=-1", "=1"])
def test_a_price_that_is_none_is_refused(folder: Path, price: str):
    told = CliRunner().invoke(
        app,
        ["frontier", "--data", str(folder), "--table", "recorded-pair", "--price", price],
    )
    assert told.exit_code != 0
    assert "MODEL=PRICE" in told.output
