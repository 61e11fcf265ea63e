"""Options that say what an answer has to match."""

from pathlib import Path
from typing import Annotated

import typer

from tiercel.types import Constraint, ConstraintForm

SchemaOption = Annotated[
    Path | None,
    typer.Option(
        "--json-schema", exists=True, dir_okay=False, help="Answer in JSON of this schema's file."
    ),
]
RegexOption = Annotated[
    str | None, typer.Option("--regex", help="Answer with text that this expression matches whole.")
]
GrammarOption = Annotated[
    Path | None,
    typer.Option(
        "--grammar", exists=True, dir_okay=False, help="Answer by this grammar, in Lark's syntax."
    ),
]


def read_constraint(
    schema: Path | None, regex: str | None, grammar: Path | None
) -> Constraint | None:
    """Return the constraint that the options give; more than one is bad usage."""
    given = {
        ConstraintForm.JSON_SCHEMA: _read("--json-schema", schema),
        ConstraintForm.REGEX: regex,
        ConstraintForm.LARK_GRAMMAR: _read("--grammar", grammar),
    }
    asked = [Constraint(form, text) for form, text in given.items() if text is not None]
    if len(asked) > 1:
        raise typer.BadParameter("only one of --json-schema, --regex and --grammar has a place")
    return asked[0] if asked else None


def _read(option: str, path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{option}: {path} cannot be read: {error}") from None
