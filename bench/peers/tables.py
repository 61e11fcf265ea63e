"""The tables of a comparison, as rows of text."""

from collections.abc import Iterator, Sequence

from bench.peers.report import Comparison, Rates, Ratio, mean_rate, ratio


def columns(comparison: Comparison, first: str) -> list[str]:
    """Return the columns: all prompts, then each kind of task with its number of prompts."""
    tasks = dict.fromkeys(comparison.tasks)
    kinds = [f">{task or 'no kind'} ({comparison.tasks.count(task)})" for task in tasks]
    return [first, f">all ({len(comparison.tasks)})", *kinds]


def rate_rows(comparison: Comparison, rates: dict[str, Rates]) -> Iterator[list[str]]:
    """Yield tokens a second of each system, over all prompts and by kind of task."""
    for name, own in rates.items():
        yield [name, *(f"{mean_rate(own[rows]):.1f}" for rows in _groups(comparison))]


def ratio_rows(comparison: Comparison, rates: dict[str, Rates], ours: str) -> Iterator[list[str]]:
    """Yield how many times as fast `ours` is as each other system."""
    for name, other in rates.items():
        if name != ours:
            cells = [ratio(rates[ours][rows], other[rows]) for rows in _groups(comparison)]
            yield [name, *map(_shown, cells)]


def _groups(comparison: Comparison) -> Sequence[list[int]]:
    tasks = dict.fromkeys(comparison.tasks)
    return [comparison.rows_of(None), *(comparison.rows_of(task) for task in tasks)]


def _shown(one: Ratio) -> str:
    if one.low == one.high:  # of a single pair of answers
        return f"{one.mean:.2f}"
    return f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]"
