"""`tiercel bench`: tokens per second and acceptance of plans over a file of prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from tiercel.cli import options
from tiercel.cli.bench.measurement import Bench, Sample
from tiercel.cli.bench.prompts import BenchPrompt, read_prompts
from tiercel.cli.bench.report import Agreement, PlanReport, agreements, plan_reports
from tiercel.cli.deployment import Deployment
from tiercel.cli.options import Asking
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import OwnOption, private_deployment, running
from tiercel.cli.running import fail, run, tell_failures
from tiercel.cli.statistics import PAIR_COLUMNS, pair_cells
from tiercel.cli.up import ConfigOption
from tiercel.clients.router import RouterClient
from tiercel.replies import Overview

PLAN_COLUMNS = ("plan", ">answers", ">tokens", ">tokens/s", ">median", ">first s", "chain")

PromptsArgument = Annotated[Path, typer.Argument(help="JSONL rows with a `prompt`, or lines.")]
PlansOption = Annotated[
    list[str] | None,
    typer.Option("--plan", help="A plan or its name; several times. Without it: every named one."),
]
EveryOption = Annotated[int, typer.Option(min=1, help="Take every Nth prompt.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Take at most so many prompts.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="Go through all of it so many times.")]


@dataclass(frozen=True)
class Work:
    """What to measure; no labels stand for every named plan."""

    prompts: Sequence[BenchPrompt]
    labels: Sequence[str]
    asking: Asking
    rounds: int
    raw: bool
    timeout_s: float


def bench(
    prompts: PromptsArgument,
    *,
    plan: PlansOption = None,
    every: EveryOption = 1,
    limit: LimitOption = None,
    rounds: RoundsOption = 1,
    max_new_tokens: options.MaxNewTokensOption = 64,
    temperature: options.TemperatureOption = 0.0,
    top_k: options.TopKOption = 0,
    top_p: options.TopPOption = 1.0,
    seed: options.SeedOption = 0,
    raw: options.RawOption = False,
    own: OwnOption = False,
    config: ConfigOption = None,
    router: options.RouterOption = options.DEFAULT_ROUTER,
    timeout: options.TimeoutOption = 300.0,
    json: options.JsonOption = False,
) -> None:
    """Measure plans over a file of prompts, and check that equal roots answer alike."""
    labels = [options.check_plan(text) for text in plan or ()]
    asking = Asking(
        temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, max_new_tokens=max_new_tokens
    )
    output = Output()
    with tell_failures():
        chosen = read_prompts(prompts, every=every, limit=limit)
    work = Work(chosen, labels, asking, rounds=rounds, raw=raw, timeout_s=timeout)
    samples = (
        _on_own(work, config, output) if own else run(_measure(work, router, output, own=False))
    )
    plans, roots = plan_reports(samples), agreements(samples)
    if json:
        shape = {"num_prompts": len(chosen), "rounds": rounds, "max_new_tokens": max_new_tokens}
        output.json({**shape, "asking": asking, "plans": plans, "agreements": roots})
    else:
        _show(output, plans, roots)
    if any(root.differences for root in roots):
        fail("plans of one root gave different tokens")


def _on_own(work: Work, config: Path | None, output: Output) -> list[Sample]:
    async def measure(deployment: Deployment) -> list[Sample]:
        async with running(deployment, output) as supervisor:
            return await supervisor.attend(_measure(work, deployment.router, output, own=True))

    with tell_failures(), private_deployment(config, output) as deployment:
        return run(measure(deployment))


async def _measure(work: Work, router: str, output: Output, *, own: bool) -> list[Sample]:
    async with RouterClient(router, timeout_s=work.timeout_s) as client:
        overview = await client.tiers()
        labels = work.labels or [named.name for named in overview.plans]
        if not own and _draft_from_the_past(overview):
            output.note("answers of one plan may be drafted from those of another; --own avoids it")
        shown = output.errors.is_terminal
        with Progress(console=output.errors, transient=True, disable=not shown) as progress:
            total = len(labels) * len(work.prompts) * work.rounds
            task = progress.add_task("bench", total=total)
            measuring = Bench(
                client, work.asking, raw=work.raw, on_sample=lambda _: progress.advance(task)
            )
            return await measuring.run(work.prompts, labels, rounds=work.rounds)


def _draft_from_the_past(overview: Overview) -> bool:
    described = (replica.description for replica in overview.replicas)
    return any(about is not None and about.engine == "suffix" for about in described)


def _show(output: Output, plans: Sequence[PlanReport], roots: Sequence[Agreement]) -> None:
    output.table("plans", PLAN_COLUMNS, [_plan_row(plan.name, plan) for plan in plans])
    tasks = [_plan_row(f"{plan.name}: {task}", one) for plan in plans
             for task, one in plan.tasks.items()]  # fmt: skip
    if tasks:
        output.table("by task", PLAN_COLUMNS, tasks)
    pairs = [(plan.name, *pair_cells(pair)) for plan in plans for pair in plan.pairs]
    if pairs:
        output.table("pairs", ("plan", *PAIR_COLUMNS), pairs)
    output.line()
    for root in roots:
        output.line(_agreement_line(root), "red" if root.differences else "green")


def _plan_row(name: str, plan: PlanReport) -> tuple[str, ...]:
    others = len(plan.chains) - 1
    return (
        name,
        str(plan.num_answers),
        str(plan.num_tokens),
        f"{plan.tokens_per_s:.1f}",
        f"{plan.median_tokens_per_s:.1f}",
        f"{plan.median_first_s:.3f}",
        plan.chains[-1] + (f" and {others} before" if others else ""),
    )


def _agreement_line(root: Agreement) -> str:
    same = root.num_prompts - len(root.differences)
    plans = "1 plan" if len(root.names) == 1 else f"{len(root.names)} plans"
    line = f"root {root.root}: {plans}, the same tokens for {same} of {root.num_prompts} prompts"
    for one in root.differences:
        line += f"\n  prompt {one.prompt} differs between {', '.join(one.names)}"
    return line
