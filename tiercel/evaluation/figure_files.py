"""Writes a report's figures to its folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

Drawn = TypeVar("Drawn")


def save_figures(
    drawings: Mapping[str, Callable[[Drawn], Figure]],
    drawn: Drawn,
    folder: Path,
    prefix: str,
    *,
    dpi: int,
) -> list[Path]:
    """Write each drawing of `drawn` as PREFIX-NAME.png, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, drawing in drawings.items():
        path = folder / f"{prefix}-{name}.png"
        drawing(drawn).savefig(path, dpi=dpi)
        paths.append(path)
    return paths
