"""What `tiercel distill record` and `tiercel distill train` have in common."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tiercel.cli.output import Output

# Recording and training have time; whoever is served has not.
_NICE = 10

ModelOption = Annotated[str, typer.Option(help="The target: a name, a folder, a .gguf file.")]
EngineOption = Annotated[str, typer.Option(help="The engine that runs the target.")]
DtypeOption = Annotated[str, typer.Option(help="Number format of the target's weights.")]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Threads of a pass; 0: every core.")]
DataOption = Annotated[
    Path,
    typer.Option(exists=True, file_okay=False, help="Folder of *.jsonl rows with a `prompt`."),
]


def give_way() -> None:
    """Let every other process of the machine go first."""
    os.nice(_NICE)


def progress_bar(output: Output) -> Progress:
    """Return a bar on standard error, for a terminal only."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeRemainingColumn(),
    )
    shown = output.errors.is_terminal
    return Progress(*columns, console=output.errors, transient=True, disable=not shown)
