"""The tables of a measurement, as rows of text."""

from collections.abc import Iterator, Sequence
from statistics import median

from bench.gpu.measurement import Sample
from bench.gpu.systems import GENERATE


def rate_rows(samples: Sequence[Sample], sessions: Sequence[int]) -> Iterator[list[str]]:
    """Yield for each system the median rate, its spread, and how many times `generate`'s it is."""
    for name in dict.fromkeys(one.system for one in samples):
        yield [name, *(_cell(samples, name, count) for count in sessions)]


def _cell(samples: Sequence[Sample], name: str, num_sessions: int) -> str:
    own = _rates(samples, name, num_sessions)
    if not own:
        return "-"
    shown = f"{median(own):.0f} [{min(own):.0f}, {max(own):.0f}]"
    peers = _rates(samples, GENERATE, num_sessions)
    return f"{shown} {median(own) / median(peers):.2f}x" if peers else shown


def _rates(samples: Sequence[Sample], name: str, num_sessions: int) -> list[float]:
    return [one.rate for one in samples if (one.system, one.num_sessions) == (name, num_sessions)]
