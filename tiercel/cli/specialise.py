"""`tiercel specialise`: fine-tunes a model on one task, into a folder that every engine loads."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.distill_options import ThreadsOption, give_way, progress_bar
from tiercel.cli.output import Output
from tiercel.cli.running import fail, tell_failures
from tiercel.models.resolve import Checkpoint, resolve
from tiercel.specialisation.adapters import read_deltas, write_adapters
from tiercel.specialisation.exporting import CARD_FILE, write_specialist
from tiercel.specialisation.samples import samples_of
from tiercel.specialisation.tasks import TASKS, task_named
from tiercel.whole_files import write_whole

if TYPE_CHECKING:
    from tiercel.specialisation.torch_training import Course, Training

# Steps between the lines that stand for the bar where there is no terminal.
_NOTE_EVERY = 10
# Of the extra `specialise`.
_TRAINERS = ("torch", "transformers", "peft")
# Beside the model: a folder's engines take every safetensors file in it for weights.
_TRAINING, _ADAPTERS = "training", "adapters"

TaskOption = Annotated[str, typer.Option(help=f"One of {', '.join(TASKS)}.")]


def specialise(
    data: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="JSONL rows with their reference.")
    ],
    task: TaskOption,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the specialist.")],
    model: Annotated[str, typer.Option(help="A name, a folder, a .gguf file.")] = "smollm2-135m",
    leave_out: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Rows of an evaluation: not learned from."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training in all.")] = 300,
    samples: Annotated[int, typer.Option(min=1, help="Samples in a step.")] = 16,
    max_tokens: Annotated[int, typer.Option(min=2, help="Longest sample, prompt included.")] = 256,
    rank: Annotated[int, typer.Option(min=1, help="Of the adapters.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="The highest one.")] = 1e-3,
    dtype: Annotated[str, typer.Option(help="Of the frozen weights: bf16 or fp32.")] = "bf16",
    seed: Annotated[int, typer.Option(min=0, help="Of the beginning and the order.")] = 0,
    device: Annotated[str, typer.Option(help="auto (CUDA where it is), cpu, cuda:N.")] = "auto",
    threads: ThreadsOption = 1,
) -> None:
    """Train low-rank adapters on a task's answers, and merge them into the model.

    Goes on where an interrupted training stopped. The folder keeps the adapters by themselves
    in `adapters`, which `tiercel merge` merges again.
    """
    missing = [name for name in _TRAINERS if find_spec(name) is None]
    if missing:
        fail(f"specialise needs {', '.join(missing)}: pip install 'tiercel[specialise]'")
    # Not at the top: they need the extra.
    from tiercel.specialisation.torch_training import Course, Training, use_threads

    give_way()
    use_threads(threads)
    output = Output()
    with tell_failures():
        course = Course(steps, samples, rank, learning_rate, dtype, seed)
        with output.working(f"loading {model}"):
            base = resolve(model)
            chosen = task_named(task)
            items = chosen.items(data, leave_out)
            lessons = samples_of(chosen, items, base.read_tokenizer(), max_tokens)
            (out / _TRAINING).mkdir(parents=True, exist_ok=True)
            training = Training(base.weights, course, lessons, out / _TRAINING, device)
        _train(training, course, output)
        with output.working("merging"):
            card = _card(base, task, data, course, len(lessons))
            write_adapters(out / _ADAPTERS, base, training.learned(), course.rank)
            write_whole(out / _ADAPTERS / CARD_FILE, card.encode())
            write_specialist(out, base, read_deltas(out / _ADAPTERS, base), card)
    output.note(f"{course.num_steps} steps on {len(lessons)} samples in {out}")


def _train(training: "Training", course: "Course", output: Output) -> None:
    total = course.num_steps
    with progress_bar(output) as progress:
        bar = progress.add_task("training", total=total, completed=training.num_steps)

        def tell(step: int, loss: float) -> None:
            progress.update(bar, completed=step, description=f"training: loss {loss:.3f}")
            if progress.disable and step % _NOTE_EVERY == 0:
                output.note(f"training: loss {loss:.3f}, step {step} of {total}")

        training.run(tell)


def _card(base: Checkpoint, task: str, data: Path, course: "Course", num_samples: int) -> str:
    num_seen = course.num_steps * course.samples_per_step
    return (
        f"# {base.name}, specialised in {task}\n\n"
        f"Low-rank adapters of rank {course.rank}, trained for {course.num_steps} steps on "
        f"{num_seen} samples, drawn from {num_samples} epoch by epoch, and "
        "merged. The base's licence holds.\n\n"
        f"- Base: {base.name}, sha256 `{base.weights.digest}`\n"
        f"- Data: {data.name}\n"
        f"- Made by: `{shlex.join(['tiercel', *sys.argv[1:]])}`\n"
    )
