"""`tiercel eval learn`: online learners on replayed requests, with changes in mid-stream."""

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
    read_step_times,
    read_table,
)
from tiercel.cli.running import tell_failures

if TYPE_CHECKING:
    from tiercel.evaluation.frontier.table import Table
    from tiercel.evaluation.learning.experiment import Drawn, Report, Settings, Subject

_HEAD = ("scenario", "feedback", "learner", ">regret", ">requests until back")


def learn(
    data: DataOption,
    table: Annotated[TableName, typer.Option(help="What the streams are drawn of.")] = (
        TableName.RECORDED_PAIR
    ),
    out: OutOption = Path("outcomes"),
    step_times: StepTimesOption = None,
    price: PriceOption = None,
    leave_out: LeaveOutOption = None,
    learner: Annotated[
        list[str] | None,
        typer.Option(help="MODULE:FACTORY of a learner of your own; several times."),
    ] = None,
    half_life: Annotated[
        float | None,
        typer.Option(min=1.0, help="Requests after which a rating weighs half; without: never."),
    ] = None,
    run_length: Annotated[
        float,
        typer.Option(min=0.0, help="Ratings until old ones are dropped for nothing; 0: never."),
    ] = 300.0,
    streams: Annotated[int, typer.Option(min=2, help="Streams, each with a seed.")] = 20,
    before: Annotated[int, typer.Option(min=200, help="Requests before a change.")] = 800,
    after: Annotated[int, typer.Option(min=200, help="Requests after it.")] = 1500,
    runs: Annotated[int, typer.Option(min=2, help="Runs of each lossy rule.")] = 200,
    report: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder for JSON, Markdown and figures.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split, and of the first stream.")] = 0,
) -> None:
    """Replay requests to online learners: regret, recovery from changes, coverage of harm.

    Scores and costs are recorded. Changes are synthetic, and called so.
    """
    # Not at the top: other commands start without what fits models.
    from tiercel.evaluation.learning.experiment import Settings, replayed_all
    from tiercel.evaluation.learning.learner import FOREVER, Factory
    from tiercel.evaluation.learning.scenarios import Scale
    from tiercel.routing.registry import imported

    output = Output()
    with tell_failures():
        settings = Settings(
            scale=Scale(streams, before, after, seed),
            half_life=FOREVER if half_life is None else half_life,
            run_length=run_length,
            num_runs=runs,
            own={name: cast(Factory, imported("learner", name)) for name in learner or ()},
        )
        with output.working("reading and fitting"):
            found = read_table(
                table,
                data,
                out=out,
                step_times=step_times,
                price=price,
                leave_out=leave_out,
            )
            subject = _subject(found, out, step_times, settings)
        result, drawn = replayed_all(subject, settings, output.note)
        _show(output, result)
        if report is not None:
            _write(output, result, drawn, report, table.value)


def _subject(found: "Table", out: Path, step_times: Path | None, settings: "Settings") -> "Subject":
    from tiercel.evaluation.learning.subjects import subject_of

    return subject_of(
        found,
        fitter(settings.scale.seed),
        out=out if out.is_dir() else None,
        times=read_step_times(out, step_times) if out.is_dir() else None,
        refresh=settings.refresh,
        seed=settings.scale.seed,
    )


def _show(output: Output, result: "Report") -> None:
    from tiercel.evaluation.learning.markdown import requests

    rows = [
        (
            one.scenario,
            one.feedback,
            one.learner,
            f"{one.regret.over_static.mean:.1f}",
            "" if one.recovery is None else requests(one.recovery),
        )
        for one in result.results
    ]
    output.table(f"{result.name}, {result.num_prompts} prompts", _HEAD, rows)


def _write(output: Output, result: "Report", drawn: "Drawn", folder: Path, name: str) -> None:
    from tiercel.evaluation.frontier.result_file import write_report
    from tiercel.evaluation.learning.markdown import markdown
    from tiercel.evaluation.learning.plots import draw

    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"learning-{name}"
    write_report(folder / f"{prefix}.json", result)
    figures = [path.name for path in draw(drawn, folder, prefix)]
    (folder / f"{prefix}.md").write_text(markdown(result, figures))
    output.note(f"written: {folder / prefix}.json, .md and figures")
