"""`tiercel distill`: records what a target answers, and trains a drafter for it."""

from pathlib import Path
from typing import Annotated

import typer

from tiercel import engines
from tiercel.cli.distill_ngram import ngram
from tiercel.cli.distill_options import (
    DataOption,
    DtypeOption,
    EngineOption,
    ModelOption,
    ThreadsOption,
    give_way,
    progress_bar,
)
from tiercel.cli.distill_train import train
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.distillation import prompts as prompt_files
from tiercel.distillation.recording import Recorder, manifest_of
from tiercel.distillation.shards import Recording, read_answers

app = typer.Typer(
    help="Record what a target answers, and train a drafter on it.", no_args_is_help=True
)
app.command()(ngram)

LeaveOutOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Files kept for evaluation, by pattern; their prompts are recorded from no file.",
        show_default=" ".join(prompt_files.LEFT_OUT),
    ),
]


@app.command()
def record(
    data: DataOption,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the recording.")],
    model: ModelOption = "smollm2-135m",
    engine: EngineOption = "native",
    dtype: DtypeOption = "int4",
    threads: ThreadsOption = 1,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens to record in all.")] = 1_000_000,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 192,
    max_prompt_tokens: Annotated[int, typer.Option(min=1, help="Longest prompt.")] = 768,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Of every second answer; the others are greedy.")
    ] = 0.7,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and of the order.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a pass.")] = 32,
    leave_out: LeaveOutOption = None,
) -> None:
    """Record answers of a target; goes on where an interrupted recording stopped."""
    give_way()
    output = Output()
    with tell_failures():
        with output.working("reading the prompts"):
            read = prompt_files.read_data(data, leave_out or prompt_files.LEFT_OUT)
        with output.working(f"loading {model}"):
            target, tokenizer = engines.load(engine, model, dtype=dtype, threads=threads)
        manifest = manifest_of(
            target,
            tokenizer,
            data=read.digests,
            max_prompt_tokens=max_prompt_tokens,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
        )
        recording = Recording(out, manifest)
        recorded = read_answers(out)
        so_far = sum(len(answer.token_ids) for answer in recorded)
        with progress_bar(output) as progress:
            task = progress.add_task("recording", total=tokens, completed=so_far)
            recorder = Recorder(
                target, tokenizer, recording, lambda count: progress.advance(task, count)
            )
            order = prompt_files.in_turn(read.prompts, seed)
            recorder.record(order, recorded, num_tokens=tokens, batch=batch)
        target.close()
        answers = read_answers(out)
        count = sum(len(answer.token_ids) for answer in answers)
        output.note(f"{count} tokens of {len(answers)} answers in {out}")


app.command()(train)
