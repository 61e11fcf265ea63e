"""`tiercel eval calibrate`: times each tier's steps, which is what counts are multiplied by."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.distill_options import ThreadsOption
from tiercel.cli.evaluation_tiers import SpecialistsOption
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.cli.up import ConfigOption
from tiercel.tiers import Configuration

if TYPE_CHECKING:
    from tiercel.evaluation.calibration import Protocol
    from tiercel.evaluation.step_cost import StepTimes, TierTimes

# A machine with more work than this a minute ago is not idle.
_MOST_LOAD = 0.5


def calibrate(
    out: Annotated[Path, typer.Option(dir_okay=False, help="File of the step times.")] = Path(
        "outcomes/step_times.json"
    ),
    config: ConfigOption = None,
    specialists: SpecialistsOption = None,
    tier: Annotated[
        list[str] | None, typer.Option("--tier", help="A tier; several times. Without it: all.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Times that each step is timed.")] = 7,
    threads: ThreadsOption = 0,
) -> None:
    """Time every tier's passes by width, and its prompts; on an idle machine.

    Tiers that are not timed now keep the times that the file has.
    """
    from tiercel.evaluation.calibration import Protocol
    from tiercel.evaluation.specialists import with_specialists
    from tiercel.evaluation.step_cost import StepTimes

    output = Output()
    if (load := os.getloadavg()[0]) > _MOST_LOAD:
        output.note(f"this machine is not idle (load {load:.1f}): the times will be too long")
    with tell_failures():
        known = StepTimes.load(out).tiers if out.exists() else {}
        configuration, _ = with_specialists(config, specialists)
        found = _timed(configuration, tier, threads, Protocol(repeats=repeats), output)
        times = StepTimes(tiers={**known, **found})
        times.save(out)
    output.table(f"milliseconds, in {out}", _head(times), _rows(times))


def _timed(
    configuration: Configuration,
    names: list[str] | None,
    threads: int,
    protocol: "Protocol",
    output: Output,
) -> "dict[str, TierTimes]":
    from tiercel.evaluation.calibration import timed
    from tiercel.evaluation.columns_on_tiers import tiers_alone
    from tiercel.evaluation.loaded_tiers import LoadedTiers

    tiers, found = LoadedTiers(configuration, threads=threads), {}
    for name in names or [column.plan.tier for column in tiers_alone(configuration)]:
        with output.working(f"timing {name}"):
            (loaded,) = tiers.get([name])
            found[name] = timed(loaded.model, protocol, threads)
    tiers.close()
    return found


def _head(times: "StepTimes") -> list[str]:
    return ["tier", ">prompt", ">its token", *(f">pass of {width}" for width in _widths(times))]


def _rows(times: "StepTimes") -> list[list[str]]:
    return [
        [
            name,
            *(f"{1000 * value:.2f}" for value in (one.prefill_s, one.prompt_token_s)),
            *(f"{1000 * one.pass_seconds(width):.2f}" for width in _widths(times)),
        ]
        for name, one in times.tiers.items()
    ]


def _widths(times: "StepTimes") -> list[int]:
    return sorted({width for one in times.tiers.values() for width in one.pass_s})
