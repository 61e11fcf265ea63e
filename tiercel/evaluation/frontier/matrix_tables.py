"""The collected matrix as the tables that are compared: texts, letters, and lossy plans."""

from collections.abc import Sequence
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import Column, parse_column
from tiercel.evaluation.frontier.collected import Featuriser, read_collected, table_of
from tiercel.evaluation.frontier.table import Table
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.sets import SETS
from tiercel.evaluation.step_cost import StepTimes

TEXTS, LETTERS, LOSSY = "texts", "letters", "lossy plans"
_FEWEST_LOSSY = 50


def matrix_table(
    name: str, cells: Sequence[Cells], data: Path, times: StepTimes, features: Featuriser
) -> Table:
    """Return one of the tables; raises InvalidRequest if the matrix does not hold it.

    Letters are told apart by log-likelihood: that says nothing of chains or early stopping, so
    they are never mixed with texts. Lossy plans were asked fewer prompts, so they have a table of
    their own, in which every column answered every prompt.
    """
    asked = [one for one in cells if SETS[one.manifest.set_name].asks_letter == (name == LETTERS)]
    singles = [str(column) for column in _columns(asked) if column.is_one_tier]
    if name != LOSSY:
        matrix = read_collected(cells, data, letters=name == LETTERS, columns=singles)
        return table_of(matrix, times, features, name=name)
    if len(singles) == len(_columns(asked)):
        raise InvalidRequest("table", name, "the matrix has no lossy column yet")
    matrix = read_collected(cells, data, letters=False)
    table = table_of(matrix, times, features, name=name)
    if len(table) < _FEWEST_LOSSY:
        raise InvalidRequest("table", name, f"only {len(table)} prompts have every column")
    return table


def _columns(cells: Sequence[Cells]) -> list[Column]:
    """Return the columns whose answers are not one sample of several, each once."""
    columns = {one.manifest.column: parse_column(one.manifest.column) for one in cells}
    return [one for one in columns.values() if not one.temperature or one.votes > 1]
