"""What the waves say: tokens a second of all clients together, and what each of them waited."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.concurrency.measurement import Sample
from bench.concurrency.wave import Arrivals
from bench.peers.report import Ratio, ratio


@dataclass(frozen=True)
class Figures:
    """One wave, or the median over several: clients' times are medians over the clients."""

    tokens_per_s: float  # of all clients together, from the questions to the last token
    first_s: float  # until a client's first token
    last_first_s: float  # until the last client had its first
    per_token_s: float  # of one client, after its first token
    longest_pause_s: float  # between two arrivals at one client, the worst client's


def figures(arrivals: Sequence[Arrivals]) -> Figures:
    """Return the figures of one wave; every answer has at least two arrivals."""
    firsts = [one[0][1] for one in arrivals]
    paces = [(one[-1][1] - one[0][1]) / (one[-1][0] - one[0][0]) for one in arrivals]
    pauses = [float(np.diff([at for _, at in one]).max()) for one in arrivals]
    return Figures(
        tokens_per_s=sum(one[-1][0] for one in arrivals) / max(one[-1][1] for one in arrivals),
        first_s=float(np.median(firsts)),
        last_first_s=max(firsts),
        per_token_s=float(np.median(paces)),
        longest_pause_s=max(pauses),
    )


def medians(waves: Iterable[Figures]) -> Figures:
    """Return the median of each figure."""
    table = np.array([list(vars(one).values()) for one in waves])
    return Figures(*(float(value) for value in np.median(table, axis=0)))


class Summary:
    """The figures of all waves, by system and number of clients."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._waves: dict[tuple[str, int], list[Figures]] = {}
        for sample in samples:
            key = sample.system, sample.num_clients
            self._waves.setdefault(key, []).append(figures(sample.arrivals))

    @property
    def systems(self) -> list[str]:
        """The systems, in the order of their first wave."""
        return list(dict.fromkeys(system for system, _ in self._waves))

    @property
    def sizes(self) -> list[int]:
        """The numbers of clients."""
        return sorted({size for _, size in self._waves})

    def of(self, system: str, size: int) -> Figures:
        """Return the medians of a system's waves."""
        return medians(self._waves[system, size])

    def spread(self, system: str, size: int) -> tuple[float, float]:
        """Return the lowest and the highest tokens a second."""
        rates = [wave.tokens_per_s for wave in self._waves[system, size]]
        return min(rates), max(rates)

    def over(self, ours: str, other: str, size: int) -> Ratio:
        """Return how many times the other's tokens a second ours are, round by round."""
        rates = [
            np.array([[wave.tokens_per_s] for wave in self._waves[name, size]])
            for name in (ours, other)
        ]
        return ratio(*rates)
