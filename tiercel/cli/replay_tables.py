"""What `tiercel eval frontier` and `tiercel eval learn` replay: tables of recorded answers."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.errors import InvalidRequest

if TYPE_CHECKING:
    from tiercel.evaluation.frontier.beliefs import Fitter
    from tiercel.evaluation.frontier.table import Table
    from tiercel.evaluation.matrix import Cells
    from tiercel.evaluation.step_cost import StepTimes
    from tiercel.prediction.quality.featuriser import Embedder

_RECORDED_SETS = ("gsm8k_test", "mmlu_test")

OutOption = Annotated[Path, typer.Option(file_okay=False, help="Folder of the matrix.")]
StepTimesOption = Annotated[
    Path | None,
    typer.Option(
        dir_okay=False,
        help="What steps take on an idle machine.",
        show_default="step_times.json of the matrix",
    ),
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option(help="MODEL=PRICE of a call, for the recorded pair; several times."),
]
LeaveOutOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A column of the matrix that is not replayed, such as one that answered few prompts;"
        " several times."
    ),
]


class TableName(StrEnum):
    """What is replayed."""

    TEXTS = "texts"
    LETTERS = "letters"
    LOSSY = "lossy"
    RECORDED_PAIR = "recorded-pair"


def read_table(
    table: TableName,
    data: Path,
    *,
    out: Path,
    step_times: Path | None = None,
    price: list[str] | None = None,
    leave_out: list[str] | None = None,
    embedding: "Embedder | None" = None,
) -> "Table":
    """Return a table, whose features end with the prompts' embeddings if there is an embedder.

    Raises InvalidRequest for one that cannot be read.
    """
    if table is TableName.RECORDED_PAIR:
        return _recorded_pair(data, _prices(price or []), embedding)
    return _of_matrix(table, data, out, step_times, leave_out or [], embedding)


def read_step_times(out: Path, step_times: Path | None) -> "StepTimes":
    """Return the step times that are named, or those of the matrix."""
    from tiercel.evaluation.step_cost import STEP_TIMES_FILE, StepTimes

    return StepTimes.load(step_times or out / STEP_TIMES_FILE)


def fitter(seed: int) -> "Fitter":
    """Return what fits the product's predictor of quality."""
    from tiercel.prediction.quality import QualitySettings, fit_quality

    return lambda train, calibration: fit_quality(
        train, calibration, settings=QualitySettings(), seed=seed
    )


def _recorded_pair(data: Path, prices: dict[str, float], embedding: "Embedder | None") -> "Table":
    from tiercel.evaluation.frontier.recorded_pair import PRICES, read_recorded_pair
    from tiercel.prediction.quality import features

    return read_recorded_pair(
        data,
        _RECORDED_SETS,
        lambda text: features(text, temperature=0.0, embedding=embedding),
        prices or PRICES,
    )


def _of_matrix(
    table: TableName,
    data: Path,
    out: Path,
    step_times: Path | None,
    leave_out: list[str],
    embedding: "Embedder | None",
) -> "Table":
    from tiercel.evaluation.frontier.matrix_tables import LETTERS, LOSSY, TEXTS, matrix_table
    from tiercel.prediction.quality import features

    names = {TableName.TEXTS: TEXTS, TableName.LETTERS: LETTERS, TableName.LOSSY: LOSSY}
    return matrix_table(
        names[table],
        _cells(out, leave_out),
        data,
        read_step_times(out, step_times),
        lambda messages: features(tuple(messages), temperature=0.0, embedding=embedding),
    )


def _cells(out: Path, leave_out: list[str]) -> "list[Cells]":
    from tiercel.evaluation.matrix import read_matrix

    cells = read_matrix(out)
    for name in leave_out:
        if all(one.manifest.column != name for one in cells):
            raise InvalidRequest("leave_out", name, "is no column of the matrix")
    return [one for one in cells if one.manifest.column not in leave_out]


def _prices(texts: list[str]) -> dict[str, float]:
    prices = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        try:
            prices[name] = float(value)
        except ValueError:
            raise InvalidRequest("price", text, "must be MODEL=PRICE") from None
        if not name or prices[name] < 0:
            raise InvalidRequest("price", text, "must be MODEL=PRICE, at least 0")
    return prices
