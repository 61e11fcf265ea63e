"""`tiercel distill train`: a drafter of a layer or two, from recordings of its target."""

import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel import engines
from tiercel.cli import options
from tiercel.cli.distill_options import (
    DataOption,
    DtypeOption,
    EngineOption,
    ModelOption,
    ThreadsOption,
    give_way,
    progress_bar,
)
from tiercel.cli.output import Output
from tiercel.cli.running import fail, tell_failures
from tiercel.distillation.lessons import Lesson, Teacher
from tiercel.distillation.prompts import read_data
from tiercel.distillation.shards import read_answers
from tiercel.engines.distilled_file import DrafterManifest
from tiercel.models.resolve import resolve

if TYPE_CHECKING:
    from tiercel.distillation.torch_run import Run

# Steps between the lines that stand for the bar where there is no terminal.
_NOTE_EVERY = 10

_COLUMNS = ("kind of task", ">tokens", ">1", ">2", ">3", ">4")


def train(
    data: DataOption,
    recording: Annotated[
        list[Path],
        typer.Option(exists=True, file_okay=False, help="A recording's folder; several times."),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the training.")],
    model: ModelOption = "smollm2-135m",
    engine: EngineOption = "native",
    dtype: DtypeOption = "int4",
    threads: ThreadsOption = 1,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training in all.")] = 2000,
    answers: Annotated[int, typer.Option(min=1, help="Answers in a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="The highest one.")] = 3e-4,
    inputs: Annotated[int, typer.Option(min=1, help="Ids with an embedding.")] = 12_288,
    outputs: Annotated[int, typer.Option(min=1, help="Ids that can be proposed.")] = 8_192,
    judge_every: Annotated[
        int, typer.Option(min=1, help="Steps between looks at held-out prompts.")
    ] = 50,
    tokens_only: Annotated[
        bool, typer.Option(help="Two layers, for targets that send no hidden states.")
    ] = False,
    json: options.JsonOption = False,
) -> None:
    """Train a drafter on recordings; goes on where an interrupted training stopped."""
    if find_spec("torch") is None:
        fail("distill train needs torch: pip install 'tiercel[torch]'")
    # Not at the top: they need the extra `torch`.
    from tiercel.distillation.torch_run import Run, Wanted, use_threads
    from tiercel.distillation.torch_training import Schedule

    give_way()
    use_threads(threads)
    output = Output()
    with tell_failures():
        lessons = _lessons(data, recording, (engine, model, dtype, threads), output)
        wanted = Wanted(
            num_inputs=inputs,
            num_outputs=outputs,
            uses_hidden=not tokens_only,
            judge_every=judge_every,
        )
        schedule = Schedule(steps, answers_per_step=answers, learning_rate=learning_rate)
        with output.working("beginning"):
            run = Run(out, resolve(model), lessons, wanted, schedule)
        _run(run, steps, output)
        with output.working("exporting"):
            manifest = run.export(shlex.join(["tiercel", *sys.argv[1:]]))
    if json:
        output.json(manifest.model_dump())
    else:
        _show(output, manifest, out)


def _lessons(
    data: Path, recordings: Sequence[Path], target: tuple[str, str, str, int], output: Output
) -> list[Lesson]:
    """Return what the target knew in every recording; asks it where that is not on disk."""
    engine, name, dtype, threads = target
    with output.working("reading the prompts"):
        prompts = read_data(data).prompts
    model, tokenizer = engines.load(engine, name, dtype=dtype, threads=threads)
    teacher = Teacher(model, tokenizer, prompts)
    counts = [len(one.token_ids) for folder in recordings for one in read_answers(folder)]
    try:
        with progress_bar(output) as progress:
            task = progress.add_task("teaching", total=sum(counts))
            return [
                lesson
                for folder in recordings
                for lesson in teacher.lessons(folder, lambda count: progress.advance(task, count))
            ]
    finally:
        model.close()


def _run(run: "Run", steps: int, output: Output) -> None:
    with progress_bar(output) as progress:
        task = progress.add_task("training", total=steps, completed=run.num_steps)

        def tell(step: int, loss: float, best: float) -> None:
            text = f"training: loss {loss:.2f}, {best:.2f} tokens a draft"
            progress.update(task, completed=step, description=text)
            if progress.disable and step % _NOTE_EVERY == 0:
                output.note(f"{text}, step {step} of {steps}")

        run.train(tell)


def _show(output: Output, manifest: DrafterManifest, out: Path) -> None:
    rows = [
        (kind, str(figures.num_tokens), *(f"{rate:.2f}" for rate in figures.acceptance))
        for kind, figures in manifest.held_out.items()
    ]
    output.table("held-out acceptance by place in the draft", _COLUMNS, rows)
    output.line(
        f"\n{manifest.dtype}, {1e3 * manifest.token_s:.2f} ms a token, trained on "
        f'{manifest.num_train_tokens} tokens\nto serve it: engine = "distilled", '
        f'model = "{(out / "drafter").resolve()}"'
    )
