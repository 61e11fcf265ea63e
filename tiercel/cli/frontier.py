"""`tiercel eval frontier`: quality against cost of every policy, replayed on recorded outcomes."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tiercel.cli.distill_options import DataOption
from tiercel.cli.output import Output
from tiercel.cli.replay_tables import (
    LeaveOutOption,
    OutOption,
    PriceOption,
    StepTimesOption,
    TableName,
    fitter,
    read_table,
)
from tiercel.cli.running import fail, tell_failures
from tiercel.errors import ModelUnavailable

if TYPE_CHECKING:
    from tiercel.evaluation.frontier.experiment import Report, Settings
    from tiercel.evaluation.frontier.table import Floats
    from tiercel.prediction.quality.embedding import Embedding
    from tiercel.routing.registry import Factory

_HEAD = ("contender", ">gap closed", ">95 %", ">area over static", ">95 %")


def frontier(
    data: DataOption,
    table: Annotated[
        TableName,
        typer.Option(help="Of the matrix, or what two large models are recorded to get right."),
    ] = TableName.TEXTS,
    out: OutOption = Path("outcomes"),
    step_times: StepTimesOption = None,
    price: PriceOption = None,
    leave_out: LeaveOutOption = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="MODULE:FACTORY of a policy of your own; several times."),
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
    from tiercel.prediction.quality.featuriser import NUM_FEATURES

    output = Output()
    with tell_failures():
        policies = _policies(policy or [])
        embedding = _embedding(output) if ablations else None
        with output.working("reading"):
            found = read_table(
                table,
                data,
                out=out,
                step_times=step_times,
                price=price,
                leave_out=leave_out,
                embedding=embedding,
            )
        found, embedded = found.features_apart(NUM_FEATURES)
        charged = overhead if overhead is not None else _decision(table)
        settings = _settings(charged, seed, ablations, embedded if embedding else None)
        settings = replace(settings, policies=policies)
        try:
            result = evaluated(found, settings, output.note)
        except ValueError as error:
            fail(f"{found.name}: {error}")
        _show(output, result)
        if report is not None:
            _write(output, result, report, table.value)


def _decision(table: TableName) -> float:
    return 0.0 if table is TableName.RECORDED_PAIR else 0.001


def _policies(names: list[str]) -> "dict[str, Factory]":
    from tiercel.routing.registry import imported

    return {name: cast("Factory", imported("policy", name)) for name in names}


def _embedding(output: Output) -> "Embedding | None":
    from tiercel.prediction.quality.embedding import installed

    try:
        return installed()
    except ModelUnavailable as error:
        output.note(f"no ablation of an embedding: {error}")
        return None


def _settings(overhead: float, seed: int, ablations: bool, embedded: "Floats | None") -> "Settings":
    from tiercel.evaluation.frontier.experiment import Settings
    from tiercel.prediction.quality.featuriser import NUM_BUCKETS, NUM_FEATURES

    return Settings(
        fitter=fitter(seed),
        num_signals=NUM_FEATURES - NUM_BUCKETS,
        overhead=overhead,
        seed=seed,
        with_ablations=ablations,
        embedded=embedded,
    )


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
