"""The option of `tiercel eval` that names tiers beside the ladder."""

from pathlib import Path
from typing import Annotated

import typer

SpecialistsOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="A TOML file of further [tiers.NAME], which the pilot does not wait for.",
    ),
]
