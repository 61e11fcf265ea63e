"""`tiercel eval sheet` and `eval ratings`: people say which of two answers is better."""

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.distill_options import DataOption
from tiercel.cli.evaluation_tiers import SpecialistsOption
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.cli.up import ConfigOption
from tiercel.errors import InvalidRequest

MatrixOption = Annotated[
    Path, typer.Option(exists=True, file_okay=False, help="Folder of the matrix.")
]
ComparedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column", help="What is compared; twice or more.", show_default="all that are greedy"
    ),
]
TextSetOption = Annotated[str, typer.Option("--set", help="A set that is answered with texts.")]


def sheet(
    data: DataOption,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The page to write.")],
    matrix: MatrixOption = Path("outcomes"),
    config: ConfigOption = None,
    specialists: SpecialistsOption = None,
    set_name: TextSetOption = "writingprompts",
    column: ComparedOption = None,
    number: Annotated[int, typer.Option(min=1, help="Pairs at most.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the pairs that are drawn and of their sides.")] = 0,
) -> None:
    """Write one page of blinded pairs for people, and beside it the key to keep to oneself."""
    # Not at the top: other commands start without the engines.
    from tiercel.evaluation.judging.pairs import blinded_pairs
    from tiercel.evaluation.judging.sheet import sheet_of
    from tiercel.evaluation.judging.texts import answered
    from tiercel.evaluation.matrix import read_matrix
    from tiercel.evaluation.specialists import with_specialists
    from tiercel.whole_files import write_whole

    with tell_failures():
        configuration, _ = with_specialists(config, specialists)
        prompts = answered(read_matrix(matrix), configuration, data, set_name, column)
        pairs = blinded_pairs(prompts, number, seed)
        if not pairs:
            raise InvalidRequest("column", set_name, "no prompt has two answers that differ")
        page, key = sheet_of(pairs)
        key_path = out.with_suffix(".key.json")
        write_whole(key_path, key.model_dump_json(indent=1).encode() + b"\n")
        write_whole(out, page.encode())
    Output().note(f"{len(pairs)} pairs in {out}; who is who stands in {key_path}: keep it back")


def ratings(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="As a page saved it.")],
    key: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The key of the page's sheet.")
    ],
    out: MatrixOption = Path("outcomes"),
) -> None:
    """Store what a person chose on a sheet as preferences beside the matrix."""
    from tiercel.evaluation.judging.ratings import (
        Ratings,
        SheetKey,
        preferences_of,
        read_record,
        store_preferences,
    )
    from tiercel.evaluation.matrix import read_matrix

    with tell_failures():
        chosen = preferences_of(read_record(file, Ratings), read_record(key, SheetKey))
        path = store_preferences(out, read_matrix(out), chosen)
    Output().note(f"{len(chosen.preferences)} preferences of {chosen.rater} in {path}")
