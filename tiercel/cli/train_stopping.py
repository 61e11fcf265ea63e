"""`tiercel train stopping`: from the outcome matrix to the stopping policies of a cascade."""

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli import options
from tiercel.cli.output import Output
from tiercel.cli.running import fail, tell_failures
from tiercel.cli.statistics import number

if TYPE_CHECKING:
    from tiercel.evaluation.matrix import Cells
    from tiercel.stopping.recorded import Forecasts
    from tiercel.stopping.training import Manner, Trained

COLUMNS = (
    "check point", ">prompts", ">weight", ">quality", ">s", ">early", ">ECE", ">advantage",
)  # fmt: skip
STATIC_COLUMNS = ("alone", ">quality", ">s")
_FITTER = "scipy"  # of the extra `train`

DataOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="Folder of the sets' JSONL files: starts are judged by predicted qualities too.",
    ),
]
CheckPointOption = Annotated[
    list[int] | None,
    typer.Option(
        "--check-point", min=0, help="Decide after so many tokens, 0: at the end; several times."
    ),
]
WeightOption = Annotated[
    list[float] | None,
    typer.Option("--weight", min=0.0, help="Quality that a second is worth, to try; several."),
]


def stopping(
    *,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the policies.")],
    outcomes: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the outcome matrix.")
    ] = Path("outcomes"),
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", help="A tier, cheap ones first; several times. Without it: all."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="A set of prompts; several times. Without it: all of texts."),
    ] = None,
    check_point: CheckPointOption = None,
    weight: WeightOption = None,
    max_loss: Annotated[
        float, typer.Option(min=0.0, help="Quality that may be lost to the best tier alone.")
    ] = 0.01,
    folds: Annotated[int, typer.Option(min=2, help="Parts to fit and to judge on.")] = 5,
    data: DataOption = None,
    json: options.JsonOption = False,
) -> None:
    """Fit stopping policies on the outcome matrix, each at the largest weight that loses little."""
    if data is not None and find_spec(_FITTER) is None:
        fail("--data needs scipy: pip install 'tiercel[train]'")
    # Not at the top: other commands start without the evaluation sets.
    from tiercel.evaluation.matrix import read_matrix
    from tiercel.stopping.evidence import PREFIXES
    from tiercel.stopping.training import WEIGHTS, Manner

    output = Output()
    with tell_failures():
        manner = Manner(tuple(weight or WEIGHTS), max_loss, folds)
        work = Work(outcomes, read_matrix(outcomes), stage or [], sets or [], data, manner)
        points = [*PREFIXES, 0] if check_point is None else check_point
        with output.working("fitting"):
            found = _trained(work, points, out)
    if json:
        output.json({one.name: _object(one) for one in found})
    else:
        _show(output, found, out)


@dataclass(frozen=True)
class Work:
    """What to learn from; no stages or sets stand for all."""

    outcomes: Path
    matrix: "list[Cells]"
    stages: list[str]
    sets: list[str]
    data: Path | None
    manner: "Manner"


def _trained(work: Work, points: list[int], out: Path) -> "list[Trained]":
    """Fit and write a policy for each check point."""
    from tiercel.evaluation.step_cost import STEP_TIMES_FILE, StepTimes
    from tiercel.stopping import policy_file
    from tiercel.stopping.recorded import stage_data
    from tiercel.stopping.training import sets_of, stages_of, train

    times = StepTimes.load(work.outcomes / STEP_TIMES_FILE)
    stages = tuple(work.stages or stages_of(work.matrix, times))
    sets = work.sets or sets_of(work.matrix, stages)
    forecasts = _forecasts(work, stages)
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for point in points:
        items = stage_data(
            work.matrix, stages, sets, times, prefix_tokens=point or None, forecasts=forecasts
        )
        one = train(items, work.manner, trained_on=f"{len(items)} prompts of {', '.join(sets)}")
        if one.policy is not None:
            policy_file.save(one.policy, out / f"{one.name}.json")
        found.append(one)
    return found


def _forecasts(work: Work, stages: tuple[str, ...]) -> "Forecasts | None":
    """Return what predictors that never saw a prompt make of it."""
    if work.data is None:
        return None
    # Not at the top: these need the extra.
    from tiercel.prediction.quality.judging import cross_validated
    from tiercel.prediction.quality.outcome_examples import read_examples
    from tiercel.prediction.quality.settings import QualitySettings

    measured = read_examples(work.matrix, work.data, plans=list(stages))
    folds = work.manner.num_folds
    qualities = cross_validated(measured.examples, measured.greedy, QualitySettings(), 0, folds)
    return {
        (asked.set_name, asked.prompt_id): tuple(quality.tolist())
        for asked, quality, greedy in zip(measured.asked, qualities, measured.greedy, strict=True)
        if greedy
    }


def _object(one: "Trained") -> dict[str, object]:
    return {
        "prompts": one.num_items,
        "advantage": one.advantage,
        "calibration_error": one.calibration_error,
        "choice": asdict(one.choice),
    }


def _show(output: Output, found: "list[Trained]", out: Path) -> None:
    for one in found[:1]:
        rows = [
            (alone.stage, number(alone.quality, 3), number(alone.seconds, 2))
            for alone in one.choice.static
        ]
        output.table("each tier alone", STATIC_COLUMNS, rows)
    output.table(
        "cascades from the first tier, on prompts that their policies did not see",
        COLUMNS,
        [_row(one) for one in found],
    )
    output.line("\nadvantage: quality - weight x seconds, less that of the best tier alone")
    written = [one for one in found if one.policy is not None]
    if written:
        output.line(f'{len(written)} policies in {out}; to use them: stopping = "{out.resolve()}"')
    for one in found:
        if one.policy is None:
            output.line(f"{one.name}: every weight loses too much; there is no file of it")


def _row(one: "Trained") -> tuple[str, ...]:
    chosen = one.choice.chosen
    if chosen is None:
        return one.name, str(one.num_items), "none", *("",) * 5
    return (
        one.name,
        str(one.num_items),
        f"{chosen.cost_weight:.3g}",
        number(chosen.quality, 3),
        number(chosen.seconds, 2),
        f"{chosen.early_share:.0%}",
        number(one.calibration_error, 3),
        number(one.advantage, 3),
    )
