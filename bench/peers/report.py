"""What the answers say: tokens a second of each system, and how many times another's ours are.

Systems whose numbers differ answer differently, and end at different lengths. So each prompt is
cut, for every system alike, where the shortest answer to it ended; a system that had decoded
further by its arrival at that point is given the tokens that it had by then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.peers.measurement import Sample

Rates = NDArray[np.float64]  # tokens a second, [prompts, rounds]

# An answer shorter than this says more about the prompt's prefill than about decoding.
MIN_TOKENS = 8
_RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """How many times as fast: the mean, and a 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """All rates over the same prompts; `whole` with the prefill, `decoding` after the first token.

    `tasks` has the kind of each prompt that was long enough, `lengths` where it was cut.
    """

    whole: dict[str, Rates]
    decoding: dict[str, Rates]
    tasks: tuple[str, ...]
    lengths: tuple[int, ...]
    num_too_short: int

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Comparison":
        """Compare what all systems answered in all rounds."""
        lengths: dict[int, int] = {}
        for one in samples:
            length = one.arrivals[-1][0] if one.arrivals else 0
            lengths[one.prompt] = min(length, lengths.get(one.prompt, length))
        kept = [prompt for prompt, length in sorted(lengths.items()) if length >= MIN_TOKENS]
        kinds = {one.prompt: one.task for one in samples}
        systems = list(dict.fromkeys(one.system for one in samples))
        shape = (len(kept), 1 + max((one.round for one in samples), default=0))
        whole = {name: np.full(shape, np.nan) for name in systems}
        decoding = {name: np.full(shape, np.nan) for name in systems}
        places = {prompt: row for row, prompt in enumerate(kept)}
        for one in samples:
            if one.prompt in places:
                place = places[one.prompt], one.round
                rates = rates_until(one.arrivals, lengths[one.prompt])
                whole[one.system][place], decoding[one.system][place] = rates
        return cls(
            whole=whole,
            decoding=decoding,
            tasks=tuple(kinds[prompt] for prompt in kept),
            lengths=tuple(lengths[prompt] for prompt in kept),
            num_too_short=len(lengths) - len(kept),
        )

    def rows_of(self, task: str | None) -> list[int]:
        """Return the rows of one kind of task, or all."""
        return [row for row, kind in enumerate(self.tasks) if task in (None, kind)]


def rates_until(arrivals: Sequence[tuple[int, float]], length: int) -> tuple[float, float]:
    """Return tokens a second of an answer cut at `length`: in all, and after the first arrival.

    The second is NaN if everything came at once.
    """
    first_count, first_s = arrivals[0]
    count, seconds = next(arrival for arrival in arrivals if arrival[0] >= length)
    if count == first_count:
        return count / seconds, float("nan")
    return count / seconds, (count - first_count) / (seconds - first_s)


def mean_rate(rates: Rates) -> float:
    """Return the geometric mean, so that means have the same ratios as single prompts have."""
    return float(np.exp(np.nanmean(np.log(rates))))


def ratio(ours: Rates, other: Rates, *, seed: int = 0) -> Ratio:
    """Return the geometric mean of ours / other over prompts and rounds, with its interval.

    Prompts are drawn anew with replacement, then the rounds of each: answers to one prompt are
    more alike than answers to different ones. A prompt that has no rate in some round is left out.
    """
    logs = np.log(ours) - np.log(other)
    logs = logs[~np.isnan(logs).any(axis=1)]
    if not len(logs):
        return Ratio(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(_means(logs, seed), [0.025, 0.975])
    return Ratio(float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high)))


def _means(logs: Rates, seed: int) -> Rates:
    rng = np.random.default_rng(seed)
    num_prompts, num_rounds = logs.shape
    prompts = rng.integers(num_prompts, size=(_RESAMPLES, num_prompts, 1))
    rounds = rng.integers(num_rounds, size=(_RESAMPLES, num_prompts, num_rounds))
    means: Rates = logs[prompts, rounds].mean(axis=(1, 2))
    return means


def disagreements(samples: Iterable[Sample], root_of: dict[str, str]) -> dict[str, int]:
    """Return for each root how many prompts its plans, or its rounds, answered differently."""
    answers: dict[tuple[str, int], set[tuple[int, ...]]] = {}
    for one in samples:
        if root := root_of.get(one.system):
            answers.setdefault((root, one.prompt), set()).add(tuple(one.token_ids))
    found = dict.fromkeys(root_of.values(), 0)
    for (root, _), different in answers.items():
        found[root] += len(different) > 1
    return found
