"""`tiercel eval frontier`: quality against cost of every policy, replayed on recorded outcomes."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.distill_options import DataOption
from tiercel.cli.output import Output
from tiercel.cli.running import fail, tell_failures
from tiercel.errors import InvalidRequest

if TYPE_CHECKING:
    from tiercel.evaluation.frontier.experiment import Report, Settings
    from tiercel.evaluation.frontier.table import Table

_HEAD = ("contender", ">gap closed", ">95 %", ">area over static", ">95 %")
_RECORDED_SETS = ("gsm8k_test", "mmlu_test")


class TableName(StrEnum):
    """What is replayed."""

    TEXTS = "texts"
    LETTERS = "letters"
    LOSSY = "lossy"
    RECORDED_PAIR = "recorded-pair"


def frontier(
    data: DataOption,
    table: Annotated[
        TableName,
        typer.Option(help="Of the matrix, or what two large models are recorded to get right."),
    ] = TableName.TEXTS,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the matrix.")] = Path(
        "outcomes"
    ),
    step_times: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="What steps take on an idle machine.",
            show_default="step_times.json of the matrix",
        ),
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option(help="MODEL=PRICE of a call, for the recorded pair; several times."),
    ] = None,
    overhead: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Cost of a decision.", show_default="1 ms; 0 for the recorded pair"
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for JSON, Markdown and figures.")
    ] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Also leave out one part at a time.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of folds and replicates.")] = 0,
) -> None:
    """Compare policies and baselines: area, gap closed to the oracle, with intervals."""
    # Not at the top: other commands start without what fits models.
    from tiercel.evaluation.frontier.experiment import evaluated

    output = Output()
    with tell_failures():
        with output.working("reading"):
            if table is TableName.RECORDED_PAIR:
                found = _recorded_pair(data, _prices(price or []))
            else:
                found = _of_matrix(table, data, out, step_times)
        charged = overhead if overhead is not None else _decision(table)
        settings = _settings(charged, seed, ablations)
        try:
            result = evaluated(found, settings, output.note)
        except ValueError as error:
            fail(f"{found.name}: {error}")
        _show(output, result)
        if report is not None:
            _write(output, result, report, table.value)


def _decision(table: TableName) -> float:
    return 0.0 if table is TableName.RECORDED_PAIR else 0.001


def _settings(overhead: float, seed: int, ablations: bool) -> "Settings":
    from tiercel.evaluation.frontier.experiment import Settings
    from tiercel.prediction.quality import QualitySettings, fit_quality
    from tiercel.prediction.quality.featuriser import NUM_BUCKETS, NUM_FEATURES

    return Settings(
        fitter=lambda train, calibration: fit_quality(
            train, calibration, settings=QualitySettings(), seed=seed
        ),
        num_signals=NUM_FEATURES - NUM_BUCKETS,
        overhead=overhead,
        seed=seed,
        with_ablations=ablations,
    )


def _recorded_pair(data: Path, prices: dict[str, float]) -> "Table":
    from tiercel.evaluation.frontier.recorded_pair import PRICES, read_recorded_pair
    from tiercel.prediction.quality import features

    return read_recorded_pair(
        data, _RECORDED_SETS, lambda text: features(text, temperature=0.0), prices or PRICES
    )


def _of_matrix(table: TableName, data: Path, out: Path, step_times: Path | None) -> "Table":
    from tiercel.evaluation.frontier.matrix_tables import LETTERS, LOSSY, TEXTS, matrix_table
    from tiercel.evaluation.matrix import read_matrix
    from tiercel.evaluation.step_cost import STEP_TIMES_FILE, StepTimes
    from tiercel.prediction.quality import features

    names = {TableName.TEXTS: TEXTS, TableName.LETTERS: LETTERS, TableName.LOSSY: LOSSY}
    times = StepTimes.load(step_times or out / STEP_TIMES_FILE)
    return matrix_table(
        names[table],
        read_matrix(out),
        data,
        times,
        lambda messages: features(tuple(messages), temperature=0.0),
    )


def _prices(texts: list[str]) -> dict[str, float]:
    prices = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            prices[name] = float(value)
        except ValueError:
            raise InvalidRequest("price", text, "must be MODEL=PRICE") from None
        if not name or prices[name] < 0:
            raise InvalidRequest("price", text, "must be MODEL=PRICE, at least 0")
    return prices


def _show(output: Output, result: "Report") -> None:
    from tiercel.evaluation.frontier.figures import names_of

    rows = []
    for name in names_of(result.everything):
        one = result.everything.of(name)
        closed, gain = one.gap_closed, one.area_gain
        ends = f"{closed.low:.3f} to {closed.high:.3f}"
        gains = f"{gain.low:+.1%} to {gain.high:+.1%}"
        rows.append((name, f"{closed.mean:.3f}", ends, f"{gain.mean:+.1%}", gains))
    output.table(f"{result.name}, {result.everything.num_prompts} prompts", _HEAD, rows)


def _write(output: Output, result: "Report", folder: Path, name: str) -> None:
    from tiercel.evaluation.frontier.markdown import markdown
    from tiercel.evaluation.frontier.plots import draw
    from tiercel.evaluation.frontier.result_file import write_report

    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"frontier-{name}"
    write_report(folder / f"{prefix}.json", result)
    figures = [path.name for path in draw(result, folder, prefix)]
    (folder / f"{prefix}.md").write_text(markdown(result, figures))
    output.note(f"written: {folder / prefix}.json, .md and figures")
