"""`tiercel train`: records what running tiers do, and fits the router's predictor on it.

It is a group too: `tiercel train quality` learns how good answers are, `tiercel train stopping`
when a cascade goes on, `tiercel train cosd-tree` when one model's token replaces another's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from tiercel.cli import options
from tiercel.cli.deployment import Deployment
from tiercel.cli.output import Output
from tiercel.cli.private_fleet import OwnOption, private_deployment, running
from tiercel.cli.running import fail, run, tell_failures
from tiercel.cli.statistics import number
from tiercel.cli.train_cosd_tree import cosd_tree
from tiercel.cli.train_policies import policies
from tiercel.cli.train_quality import quality
from tiercel.cli.train_stopping import stopping
from tiercel.cli.up import ConfigOption
from tiercel.prediction import recording
from tiercel.prediction.manifest import Manifest
from tiercel.prediction.recording import Manner
from tiercel.prediction.records import PROMPTS, PromptLine, read_prompts

HEAD_COLUMNS = ("predicts", "of", "model", ">outcomes", ">error", ">error of the mean")
# Of the extra `train`.
_FITTERS = ("sklearn", "skl2onnx")

app = typer.Typer()
app.command()(cosd_tree)
app.command()(quality)
app.command()(policies)
app.command()(stopping)

OutOption = Annotated[
    Path, typer.Option(file_okay=False, help="Folder of the predictor and of its outcomes.")
]
PromptsOption = Annotated[
    Path,
    typer.Option(
        help="JSONL rows with a `prompt`, and a `kind` if there is one.",
        show_default="those that come with tiercel",
    ),
]
PlansOption = Annotated[
    list[str] | None,
    typer.Option("--plan", help="A named plan; several times. Without it: every one."),
]
TemperaturesOption = Annotated[
    list[float] | None, typer.Option("--temperature", min=0.0, help="Several times: each of them.")
]
RecordOption = Annotated[
    bool, typer.Option(help="Record outcomes; without, fit on those that are there.")
]


@app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    *,
    out: OutOption = Path("predictor"),
    prompts: PromptsOption = PROMPTS,
    plan: PlansOption = None,
    every: Annotated[int, typer.Option(min=1, help="Take every Nth prompt.")] = 1,
    max_new_tokens: options.MaxNewTokensOption = 128,
    temperature: TemperaturesOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and of the order.")] = 0,
    record: RecordOption = True,
    own: OwnOption = False,
    config: ConfigOption = None,
    router: options.RouterOption = options.DEFAULT_ROUTER,
    json: options.JsonOption = False,
) -> None:
    """Record outcomes from the running tiers, and fit the predictor of the router on them."""
    if context.invoked_subcommand:
        return
    if not all(map(find_spec, _FITTERS)):
        fail("train needs scikit-learn and skl2onnx: pip install 'tiercel[train]'")
    output = Output()
    outcomes = out / "outcomes.jsonl"
    with tell_failures():
        if record:
            out.mkdir(parents=True, exist_ok=True)
            manner = Manner(max_new_tokens, tuple(temperature or (0.0,)), seed)
            work = Work(read_prompts(prompts)[::every], plan or [], outcomes, manner)
            _record(work, router, config, output, own=own)
        manifest = _fitted(outcomes, out, output)
    if json:
        output.json(manifest.model_dump())
    else:
        _show(output, manifest, out)


@dataclass(frozen=True)
class Work:
    """What to record; no plans stand for every named one."""

    prompts: Sequence[PromptLine]
    plans: Sequence[str]
    outcomes: Path
    manner: Manner


def _record(work: Work, router: str, config: Path | None, output: Output, *, own: bool) -> None:
    async def on_own(deployment: Deployment) -> None:
        async with running(deployment, output) as supervisor:
            await supervisor.attend(_answered(work, deployment.router, output))

    if own:
        with private_deployment(config, output) as deployment:
            run(on_own(deployment))
    else:
        run(_answered(work, router, output))


async def _answered(work: Work, router: str, output: Output) -> None:
    shown = output.errors.is_terminal
    with Progress(console=output.errors, transient=True, disable=not shown) as progress:
        task = progress.add_task("recording", total=None)
        recorded = await recording.record(
            router,
            work.prompts,
            work.plans,
            work.outcomes,
            manner=work.manner,
            progress=lambda _: progress.advance(task),
        )
    output.note(f"recorded {recorded} outcomes in {work.outcomes}")


def _fitted(outcomes: Path, out: Path, output: Output) -> Manifest:
    # Not at the top: it needs the extra `train`.
    from tiercel.prediction.training import train as fit

    with output.working("fitting"):
        return fit(outcomes, out)


def _show(output: Output, manifest: Manifest, out: Path) -> None:
    rows = [
        (
            head.kind,
            head.of,
            head.model,
            str(head.num_outcomes),
            number(head.error, 4),
            number(head.baseline_error, 4),
        )
        for head in manifest.heads
    ]
    output.table("heads, with their errors on prompts that they did not see", HEAD_COLUMNS, rows)
    output.line(f"\n{manifest.num_outcomes} outcomes of {manifest.num_prompts} prompts in {out}")
    output.line(
        f'to use it: policy = "fastest" and predictor = "{out.resolve()}" '
        "under [router.settings] of the configuration"
    )
