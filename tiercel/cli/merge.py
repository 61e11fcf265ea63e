"""`tiercel merge`: a model with low-rank adapters merged, as a folder that every engine loads."""

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.models.resolve import resolve
from tiercel.specialisation.adapters import read_deltas
from tiercel.specialisation.exporting import CARD_FILE, write_specialist


def merge(
    adapters: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, help="Folder of `specialise`, or of peft."),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the specialist.")],
    model: Annotated[str, typer.Option(help="What they were learned beside.")] = "smollm2-135m",
) -> None:
    """Merge adapters into the model that they were learned beside, as `specialise` does."""
    output = Output()
    with tell_failures(), output.working("merging"):
        base = resolve(model)
        card = adapters / CARD_FILE
        text = card.read_text() if card.is_file() else f"# {base.name}, with adapters\n"
        write_specialist(out, base, read_deltas(adapters, base), text)
    output.note(f"a specialist of {base.name} in {out}")
