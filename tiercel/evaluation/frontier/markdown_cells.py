"""Tables and numbers as Markdown has them; what does not exist is an empty cell."""

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite

from tiercel.evaluation.statistics import Estimate


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; columns that begin with `>` hold numbers."""
    yield "| " + " | ".join(name.removeprefix(">") for name in head) + " |"
    yield "|" + "|".join("--:" if name.startswith(">") else "---" for name in head) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def interval(one: Estimate, *, percent: bool = False, digits: int = 3) -> str:
    """Return a figure with its interval, as a signed share if `percent`."""
    if not isfinite(one.mean):
        return ""
    if percent:
        return f"{one.mean:+.1%} ({one.low:+.1%} to {one.high:+.1%})"
    return f"{one.mean:.{digits}f} ({one.low:.{digits}f} to {one.high:.{digits}f})"


def number(value: float) -> str:
    """Return three digits."""
    return f"{value:.3f}" if isfinite(value) else ""


def median(values: list[float]) -> float:
    """Return the upper median; NaN of nothing."""
    return sorted(values)[len(values) // 2] if values else float("nan")
