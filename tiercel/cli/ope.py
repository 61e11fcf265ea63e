"""`tiercel eval ope`: what another policy would have been worth, from a router's log."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures

if TYPE_CHECKING:
    from tiercel.evaluation.ope.estimators import Estimates

_HEAD = ("measure", "estimator", ">value", ">95 %")


def ope(
    log: Annotated[list[Path], typer.Argument(help="The router's decision logs, JSONL.")],
    policy: Annotated[str, typer.Option(help="The policy to estimate.")] = "utility",
    scores: Annotated[
        list[Path] | None,
        typer.Option(help="JSONL of decision_id and score, from 0 to 1; several times."),
    ] = None,
    cost_weight: Annotated[
        float | None, typer.Option(min=0.0, help="Quality that a second is worth.")
    ] = None,
    target_quality: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Quality to reach.")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(min=0.0, help="Budget.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0.0, help="Budget.")] = None,
    fallback: Annotated[
        str, typer.Option(help="The plan in doubt.", show_default="the slowest candidate")
    ] = "",
    min_effective: Annotated[
        float, typer.Option(min=2.0, help="Effective decisions below which nothing is estimated.")
    ] = 100.0,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Estimate a policy's mean score and seconds from decisions that another policy made.

    Wishes that are given here take the place of the callers'.
    """
    # Not at the top: other commands start without numpy's estimators.
    from tiercel.evaluation.ope.decision_records import read_log
    from tiercel.evaluation.ope.off_policy import SCORE, SECONDS, evaluated
    from tiercel.routing.policy import Wishes
    from tiercel.routing.registry import PolicySettings, make

    output = Output()
    wishes = Wishes(cost_weight, target_quality, max_seconds, max_cost)
    with tell_failures():
        read = read_log(log, scores or [])
        found = {
            measure.name: evaluated(
                read.decisions,
                make(policy, PolicySettings()),
                measure,
                fallback=fallback,
                wishes=None if wishes == Wishes() else wishes,
                min_effective=min_effective,
            )
            for measure in (SCORE, SECONDS)
            if any(measure.outcome(one) is not None for one in read.decisions)
        }
        if json:
            output.json(found)
            return
        _show(output, policy, found, len(read.decisions), read.num_requested)


def _show(
    output: Output, policy: str, found: dict[str, "Estimates"], num_decisions: int, requested: int
) -> None:
    rows = [
        (name, one.estimator, f"{one.value:.4f}", _ends(one.low, one.high))
        for name, estimates in found.items()
        for one in estimates.values
    ]
    output.table(f"{policy}, from {num_decisions} decisions", _HEAD, rows)
    for name, one in found.items():
        output.line(
            f"{name}: known of {one.num_decisions}, mean as logged {one.logged_mean:.4f}, "
            f"{one.effective:.0f} effective, greatest weight {one.max_weight:.1f}, "
            f"{one.unsupported:.2%} of the odds without support"
        )
        if one.refused:
            output.line(f"{name}: not estimated: {one.refused}", "bold")
    if requested:
        output.line(f"{requested} plans were the callers' choice and say nothing")
    if not found:
        output.line("no outcome is known: give scores")


def _ends(low: float, high: float) -> str:
    return "" if low != low else f"{low:.4f} to {high:.4f}"
