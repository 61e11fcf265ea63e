"""Where commands write: rich on a terminal, plain text in a pipe, JSON when it is asked for."""

import json
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_TABLE_WIDTH = 1000
# What took less needs no line.
_LONG_S = 2.0


class Output:
    """Standard output and standard error of one command."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, markup=False)
        self._wide = Console(highlight=False, markup=False, width=_TABLE_WIDTH)
        self.errors = Console(stderr=True, highlight=False, markup=False)

    @property
    def is_terminal(self) -> bool:
        """Whether people look at what is written."""
        return self.console.is_terminal

    def stream(self, text: str, style: str = "") -> None:
        """Write text as it stands, without a line end; a terminal gets no control characters."""
        if self.is_terminal:
            shown = Text(without_controls(text), style=style)
            self.console.print(shown, end="", soft_wrap=True)
        else:
            sys.stdout.write(text)
            sys.stdout.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line."""
        self.stream(f"{text}\n", style)

    def note(self, text: str, style: str = "dim") -> None:
        """Write a line to standard error."""
        self.errors.print(Text(without_controls(text), style=style), soft_wrap=True)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Say on standard error what takes a while: for as long as it lasts, or once it has."""
        started = time.monotonic()
        if self.errors.is_terminal:
            with self.errors.status(f"{text} ..."):
                yield
        else:
            yield
        lasted = time.monotonic() - started
        if lasted >= _LONG_S:
            self.note(f"{text}: {lasted:.1f} s")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table; columns that begin with `>` hold numbers and are set to the right."""
        # A table too wide for the terminal runs on in the next line; rich would cut its cells.
        box, gap = (SIMPLE_HEAD, 1) if self.is_terminal else (None, 2)
        table = Table(box=box, padding=(0, gap, 0, 0), pad_edge=False)
        for column in columns:
            justify = "right" if column.startswith(">") else "left"
            table.add_column(column.removeprefix(">"), justify=justify)  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*(Text(without_controls(cell)) for cell in row))
        self.line(f"\n{title}", "bold")
        with self._wide.capture() as captured:
            self._wide.print(table)
        shown = [row.rstrip() for row in captured.get().splitlines()]
        self.console.file.write("\n".join(filter(None, shown)) + "\n")
        self.console.file.flush()

    def json(self, value: object) -> None:
        """Write one line of JSON: dataclasses as objects, enums as their values."""
        sys.stdout.write(json_text(value) + "\n")
        sys.stdout.flush()


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return JSON: dataclasses as objects, enums as their values."""
    return json.dumps(value, default=_plain, ensure_ascii=False, indent=indent)


def without_controls(text: str) -> str:
    """Return the text with what could command a terminal made visible as U+FFFD."""
    return "".join(
        "\ufffd" if unicodedata.category(one) == "Cc" and one not in "\n\t" else one for one in text
    )


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
