"""Which answer a column of the outcome matrix stands for, as plans of a router name theirs."""

from dataclasses import replace

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import parse_column
from tiercel.plan_text import Outline


def outline_of(name: str) -> Outline | None:
    """Return the plan of a column with its rule; None for votes of samples, and for other names."""
    try:
        column = parse_column(name)
    except InvalidRequest:
        return None
    if column.votes > 1:
        return None
    if column.rule == "exact":
        return column.plan
    return replace(column.plan, acceptance=column.acceptance)
