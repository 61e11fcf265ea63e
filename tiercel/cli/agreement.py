"""`tiercel agreement`: how far tiers agree, and what that says of the target and of its answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from tiercel.cli import options
from tiercel.cli.agreement_tables import show
from tiercel.cli.bench.prompts import BenchPrompt, read_prompts
from tiercel.cli.deployment import Deployment
from tiercel.cli.output import Output, json_text
from tiercel.cli.private_fleet import OwnOption, private_deployment, running
from tiercel.cli.running import run, tell_failures
from tiercel.cli.up import ConfigOption
from tiercel.clients.router import RouterClient
from tiercel.errors import InvalidRequest
from tiercel.types import SamplingParams

if TYPE_CHECKING:
    from tiercel.evaluation.agreement.asking import Manner, Panel
    from tiercel.evaluation.agreement.readings import Reading, Sample
    from tiercel.evaluation.agreement.report import Report

DataOption = Annotated[
    list[Path],
    typer.Option(
        exists=True, dir_okay=False, help="JSONL rows with a `prompt`, or lines; several times."
    ),
]
AnswersOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="Take the target's answers, with their scores, from this outcome matrix; --data are"
        " then evaluation sets.",
    ),
]
TargetOption = Annotated[
    str,
    typer.Option(help="The tier that answers.", show_default="the root of the default plan"),
]
TierOption = Annotated[
    list[str] | None,
    typer.Option("--tier", help="A tier to compare; several times. Without it: all others."),
]
AgreeingOption = Annotated[
    int, typer.Option(min=1, help="Drafters that have to agree, in the curves.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="Folder for figures, report and calibration file."),
]

REPORT_FILE, TABLE_FILE = "agreement.json", "calibration.json"
MATRIX_FILE, CURVES_FILE = "agreement-matrix.svg", "agreement-reliability.svg"

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Work:
    """What to ask whom."""

    prompts: Sequence[BenchPrompt]  # that the target is to answer, or none
    data: Sequence[Path]
    answers: Path | None
    limit: int | None
    target: str
    tiers: Sequence[str]
    manner: "Manner"
    raw: bool
    patience_s: float  # until every tier takes work


@dataclass(frozen=True)
class Found:
    """What came of it."""

    target: str
    samples: "Sequence[Sample]"
    readings: "dict[str, list[Reading]]"
    fingerprints: dict[str, str]


def agreement(
    *,
    data: DataOption,
    answers: AnswersOption = None,
    target: TargetOption = "",
    tier: TierOption = None,
    num_agreeing: AgreeingOption = 2,
    every: Annotated[int, typer.Option(min=1, help="Take every Nth prompt.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Prompts of each file.")] = None,
    max_new_tokens: options.MaxNewTokensOption = 64,
    temperature: options.TemperatureOption = 0.0,
    top_k: options.TopKOption = 0,
    top_p: options.TopPOption = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all choices.")] = 0,
    raw: options.RawOption = False,
    out: FolderOption = None,
    own: OwnOption = False,
    config: ConfigOption = None,
    router: options.RouterOption = options.DEFAULT_ROUTER,
    timeout: options.TimeoutOption = 120.0,
    json: options.JsonOption = False,
) -> None:
    """Measure how far tiers agree, place by place, over the answers of one of them."""
    # Not at the top: other commands start without it.
    from tiercel.evaluation.agreement.asking import Manner
    from tiercel.evaluation.agreement.report import report_of, table_of

    if answers is not None and (temperature or raw):
        raise typer.BadParameter("recorded answers are greedy, behind the chat template")
    output = Output()
    with tell_failures():
        files = [] if answers else [read_prompts(one, every=every, limit=limit) for one in data]
    sampling = SamplingParams(temperature, top_k, top_p, seed)
    work = Work(
        prompts=[prompt for prompts in files for prompt in prompts],
        data=data,
        answers=answers,
        limit=limit,
        target=target,
        tiers=tier or (),
        manner=Manner(sampling, max_new_tokens, timeout),
        raw=raw,
        patience_s=_PATIENCE_S if own else 0.0,
    )
    found = _on_own(work, config, output) if own else run(_measured(work, router, output))
    told = (found.samples, found.readings, found.fingerprints)
    report = report_of(*told, target=found.target, num_agreeing=num_agreeing)
    if out is not None:
        names = ", ".join(path.name for path in data)
        about = f"{report.num_tokens} tokens of {report.num_answers} answers to {names}"
        table = table_of(*told, target=found.target, temperature=temperature, measured_on=about)
        out.mkdir(parents=True, exist_ok=True)
        table.save(out / TABLE_FILE)
        (out / REPORT_FILE).write_text(json_text(report, indent=2) + "\n")
        _draw(report, out, output)
    if json:
        output.json(report)
    else:
        show(report, output)


def _on_own(work: Work, config: Path | None, output: Output) -> Found:
    async def measure(deployment: Deployment) -> Found:
        async with running(deployment, output) as supervisor:
            return await supervisor.attend(_measured(work, deployment.router, output))

    with tell_failures(), private_deployment(config, output) as deployment:
        return run(measure(deployment))


async def _measured(work: Work, router: str, output: Output) -> Found:
    from tiercel.evaluation.agreement.asking import panel, read_all
    from tiercel.evaluation.agreement.voices import away, settled, voices

    async with RouterClient(router, timeout_s=work.manner.timeout_s) as client:
        overview = await settled(client.tiers, work.patience_s)
    target, others = voices(overview, work.target, work.tiers)
    if not work.tiers and (missing := away(overview)):
        output.note(f"left out, for they take no work: {', '.join(missing)}", "yellow")
    async with panel(target, others, work.manner) as asked:
        with Progress(
            console=output.errors, transient=True, disable=not output.errors.is_terminal
        ) as progress:
            task = progress.add_task("answers", total=None)
            samples = await _samples(work, asked, lambda: progress.advance(task))
            if not samples:
                raise InvalidRequest("data", len(samples), "there is no answer to look at")
            task = progress.add_task("places", total=len(samples) * (1 + len(others)))
            readings = await read_all(
                asked,
                others,
                samples,
                advance=lambda: progress.advance(task),
                left_out=lambda name, why: output.note(f"{name} is left out: {why}", "yellow"),
            )
    fingerprints = {
        voice.name: voice.fingerprint or target.fingerprint for voice in (target, *others)
    }
    return Found(target.name, samples, readings, fingerprints)


async def _samples(work: Work, asked: "Panel", advance: Callable[[], None]) -> "list[Sample]":
    """Return the target's answers: recorded ones, or what it says now."""
    from tiercel.evaluation.agreement.recorded import recorded_samples

    if work.answers is not None:
        name, fingerprint = asked.target.name, asked.tokenizer.fingerprint
        return [
            sample
            for path in work.data
            for sample in recorded_samples(
                path, work.answers, name, fingerprint=fingerprint, limit=work.limit
            )
        ]
    samples = []
    for one in work.prompts:
        prompt = one.text if work.raw else options.conversation(one.text)
        samples.append(await asked.answer(prompt, one.task))
        advance()
    return [sample for sample in samples if sample.token_ids]


def _draw(report: "Report", out: Path, output: Output) -> None:
    if find_spec("matplotlib") is None:
        output.note("no figures: these need matplotlib, of tiercel[train]", "yellow")
        return
    from tiercel.evaluation.agreement.figures import draw_matrix, draw_reliability

    draw_matrix([one.tier for one in report.tiers], report.pairs, out / MATRIX_FILE)
    draw_reliability(report.acceptance, report.correctness, out / CURVES_FILE)
