"""`tiercel eval`: collects what every plan answers to the evaluation sets, and shows it."""

import signal
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.distill_options import DataOption, ThreadsOption, give_way, progress_bar
from tiercel.cli.evaluation_answers import answers
from tiercel.cli.evaluation_calibrate import calibrate
from tiercel.cli.evaluation_match import match
from tiercel.cli.evaluation_sheet import ratings, sheet
from tiercel.cli.evaluation_stories import stories
from tiercel.cli.evaluation_tiers import SpecialistsOption
from tiercel.cli.frontier import frontier
from tiercel.cli.learn import learn
from tiercel.cli.ope import ope
from tiercel.cli.output import Output
from tiercel.cli.running import fail, tell_failures
from tiercel.cli.up import ConfigOption
from tiercel.tiers import Configuration, load

if TYPE_CHECKING:
    from tiercel.evaluation.column import Column
    from tiercel.evaluation.columns_on_tiers import ColumnOpener
    from tiercel.evaluation.schedule import Work

app = typer.Typer(
    help="Collect what every plan answers to evaluation sets, and show it.", no_args_is_help=True
)

app.command()(calibrate)
app.command()(match)
app.command()(answers)
app.command()(sheet)
app.command()(ratings)
app.command()(stories)

app.command()(frontier)
app.command()(learn)
app.command()(ope)

# Of the extra `train`.
_SCORERS = ("rouge_score", "sacrebleu")

OutOption = Annotated[Path, typer.Option(file_okay=False, help="Folder of the matrix.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="A set; several times. Without it: all.")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="What answers, as `tier; temperature=0.7`; several times.",
        show_default="every tier with a model, greedy, and at the temperature of samples",
    ),
]


@app.command()
def collect(
    data: DataOption,
    out: OutOption = Path("outcomes"),
    config: ConfigOption = None,
    specialists: SpecialistsOption = None,
    set_names: SetOption = None,
    column: ColumnOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Prompts of each set.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Answers at the temperature.")] = 5,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of the samples.")] = 0.7,
    minutes: Annotated[
        float | None, typer.Option("--time", min=0.0, help="Minutes until no prompt is begun.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a pass.")] = 16,
    threads: ThreadsOption = 1,
    pilot: Annotated[bool, typer.Option("--pilot", help="End after the pilot.")] = False,
) -> None:
    """Collect outcomes into a matrix; goes on where an earlier run stopped or was killed."""
    # Not at the top: other commands start without the scorers' libraries.
    from tiercel.evaluation import sets as evaluation_sets
    from tiercel.evaluation.columns_on_tiers import ColumnOpener
    from tiercel.evaluation.schedule import Work
    from tiercel.evaluation.specialists import with_specialists

    _check_installed()
    give_way()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is answered is kept
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    with tell_failures():
        configuration, ladder = with_specialists(config, specialists)
        sets = evaluation_sets.named(set_names)
        work = Work(
            columns=_columns(configuration, column, temperature if samples else 0.0),
            sets=sets,
            items={each.name: each.read(data) for each in sets},
            num_samples=samples,
            limit=limit,
        )
        opener = ColumnOpener(configuration, batch=batch, threads=threads, ladder=ladder)
        _collect(out, work, opener, deadline, only_pilot=pilot)


def _columns(
    configuration: Configuration, texts: list[str] | None, temperature: float
) -> "list[Column]":
    """Return the named columns, or every tier, greedy and at a `temperature` above 0."""
    from tiercel.evaluation.column import parse_column
    from tiercel.evaluation.columns_on_tiers import tiers_alone

    if texts:
        return [parse_column(text) for text in texts]
    temperatures = [0.0, temperature] if temperature else [0.0]
    tiers = tiers_alone(configuration)
    return [replace(tier, temperature=one) for tier in tiers for one in temperatures]


def _collect(
    out: Path, work: "Work", opener: "ColumnOpener", deadline: float | None, *, only_pilot: bool
) -> None:
    from tiercel.evaluation.collector import Collector
    from tiercel.evaluation.matrix import only_run
    from tiercel.evaluation.report import PILOT_HEAD, pilot_rows

    output = Output()
    with only_run(out), progress_bar(output) as bar:
        task = bar.add_task("collecting", total=0)
        collector = Collector(
            out,
            work,
            opener,
            expected=lambda count: bar.reset(task, total=count),
            progress=lambda count: bar.advance(task, count),
            told=output.note,
            is_over=lambda: deadline is not None and time.monotonic() >= deadline,
        )
        pilot = collector.run_pilot(opener.ladder)
        if not only_pilot:
            collector.run(work.rounds(pilot))
    opener.close()
    if only_pilot:
        output.table(f"pilot in {out}", PILOT_HEAD, pilot_rows(pilot))


@app.command()
def judge(
    data: DataOption,
    out: OutOption = Path("outcomes"),
    config: ConfigOption = None,
    set_names: SetOption = None,
) -> None:
    """Judge the sets of which every tier has the pilot; also while a run collects."""
    from tiercel.evaluation import sets as evaluation_sets
    from tiercel.evaluation.collector import Collector
    from tiercel.evaluation.columns_on_tiers import ColumnOpener
    from tiercel.evaluation.pilot import read_pilot
    from tiercel.evaluation.report import PILOT_HEAD, pilot_rows
    from tiercel.evaluation.schedule import Work

    with tell_failures():
        opener = ColumnOpener(load(config), batch=1, threads=1)
        sets = evaluation_sets.named(set_names)
        items = {each.name: each.read(data) for each in sets}
        Collector(out, Work(opener.ladder, sets, items, 0), opener).judge(opener.ladder)
        rows = pilot_rows(read_pilot(out))
    Output().table(f"pilot in {out}", PILOT_HEAD, rows)


@app.command()
def show(
    out: OutOption = Path("outcomes"), json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Show each column's mean score on each set, with 95 % intervals."""
    from tiercel.evaluation.matrix import read_matrix
    from tiercel.evaluation.pilot import read_pilot
    from tiercel.evaluation.report import HEAD, lines_of

    output = Output()
    with tell_failures():
        lines = lines_of(read_matrix(out), read_pilot(out))
        if json:
            output.json(lines)
        else:
            output.table(f"outcomes in {out}", HEAD, [line.cells for line in lines])


def _check_installed() -> None:
    missing = [name for name in _SCORERS if find_spec(name) is None]
    if missing:
        fail(f"scoring needs {', '.join(missing)}: install tiercel[train]")
