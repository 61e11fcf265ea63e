"""`tiercel plan`: what every chain over the measured tiers is predicted to take."""

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli import options
from tiercel.cli.bench.times import bench_measurements
from tiercel.cli.output import Output
from tiercel.cli.running import run, tell_failures
from tiercel.cli.statistics import number
from tiercel.clients.feedback import FeedbackClient
from tiercel.plan_costs import (
    Measurements,
    Prediction,
    learned_measurements,
    predictions,
    read_measurements,
)

DataOption = Annotated[
    Path | None, typer.Option(help="JSON with step times, acceptance rates and round trips.")
]
FeedbackOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT", help="Take what this feedback service has learned for the rest."
    ),
]
BenchOption = Annotated[
    Path | None, typer.Option(help="What `tiercel bench --json` wrote, for rates and for passes.")
]
NumTokensOption = Annotated[int, typer.Option(min=1, help="Tokens of the answer.")]
PromptTokensOption = Annotated[int, typer.Option(min=0, help="Tokens of the prompt.")]
LimitOption = Annotated[int, typer.Option(min=1, max=16, help="The longest block to look at.")]

COLUMNS = ("plan", ">s a token", ">tokens a s", ">s an answer", ">against alone", "")


def plan(
    *,
    data: DataOption = None,
    bench: BenchOption = None,
    feedback: FeedbackOption = "",
    kind: options.KindOption = "",
    num_tokens: NumTokensOption = 128,
    prompt_tokens: PromptTokensOption = 100,
    limit: LimitOption = 8,
    json: options.JsonOption = False,
) -> None:
    """Predict from measurements how long every chain of tiers takes, and name the best."""
    if data is None and bench is None and not feedback:
        raise typer.BadParameter("give --data, --bench, --feedback or several of them")
    output = Output()
    measured = run(_measured(data, bench, feedback, kind))
    if missing := measured.unknown():
        output.note(f"no times of {', '.join(missing)}: pairs of them are left out", "yellow")
    with tell_failures():
        found = predictions(
            measured, num_tokens=num_tokens, num_prompt_tokens=prompt_tokens, limit=limit
        )
    if json:
        output.json(found)
        return
    for root in dict.fromkeys(one.root for one in found):
        _show(output, [one for one in found if one.root == root])


async def _measured(
    data: Path | None, bench: Path | None, feedback: str, kind: str
) -> Measurements:
    """Return all that is known: what the file says, then the bench, then feedback."""
    measured = read_measurements(data) if data is not None else Measurements()
    if bench is not None:
        measured = measured.over(bench_measurements(bench))
    return measured.over(await _learned(feedback, kind)) if feedback else measured


async def _learned(address: str, kind: str) -> Measurements:
    client = FeedbackClient(address)
    try:
        return learned_measurements(await client.policy(), kind)
    finally:
        await client.close()


def _show(output: Output, found: list[Prediction]) -> None:
    """Write the chains of one root, whose answers are all the same: the quickest is the best."""
    alone = next(one for one in found if one.plan == one.root)
    rows = [
        (
            one.plan,
            number(one.token_s, 5),
            number(1 / one.token_s if one.token_s else None, 2),
            number(one.answer_s, 3),
            f"{alone.answer_s / one.answer_s:.2f}x" if one.answer_s else "-",
            "best" if one is found[0] else "",
        )
        for one in found
    ]
    output.table(found[0].root, COLUMNS, rows)
