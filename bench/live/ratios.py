"""What adapting took against the best static chain: ratios of mean times, paired, with intervals.

Every turn was answered by every arm, so turns are drawn anew with replacement, all arms together,
within each phase. The best static chain is sought anew in each replicate: it may be another one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.peers.report import Ratio

Doubles = NDArray[np.float64]
REPLICATES = 2_000


@dataclass(frozen=True)
class Phase:
    """Seconds of all requests of a turn together, [turns, arms]; the adaptive arm is column 0."""

    name: str
    seconds: Doubles
    num_requests: tuple[int, ...]  # of each turn

    def means(self) -> Doubles:
        """Return each arm's mean seconds a request."""
        means: Doubles = self.seconds.sum(axis=0) / sum(self.num_requests)
        return means


@dataclass(frozen=True)
class Result:
    """The adaptive arm against the best static one, in one phase or in the whole run."""

    name: str
    mean_s: tuple[float, ...]  # by arm, a request
    best: int  # the static arm with the least mean
    ratio: Ratio


def compared(phases: Sequence[Phase], *, seed: int = 0) -> list[Result]:
    """Return a result for each phase, then one named "run" over all requests."""
    rng = np.random.default_rng(seed)
    draws = [_drawn(phase, rng) for phase in phases]
    found = [
        _result(phase.name, phase.means(), totals / counts[:, None])
        for phase, (totals, counts) in zip(phases, draws, strict=True)
    ]
    seconds = np.sum([phase.seconds.sum(axis=0) for phase in phases], axis=0)
    count = sum(sum(phase.num_requests) for phase in phases)
    totals = np.sum([totals for totals, _ in draws], axis=0)
    counts = np.sum([counts for _, counts in draws], axis=0)
    return [*found, _result("run", seconds / count, totals / counts[:, None])]


def _drawn(phase: Phase, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Return the replicates' seconds [replicates, arms], and how many requests they are of."""
    count = len(phase.seconds)
    turns = rng.integers(count, size=(REPLICATES, count))
    requests = np.array(phase.num_requests, np.float64)
    return phase.seconds[turns].sum(axis=1), requests[turns].sum(axis=1)


def _result(name: str, means: Doubles, replicates: Doubles) -> Result:
    best = 1 + int(means[1:].argmin())
    ratios = replicates[:, 0] / replicates[:, 1:].min(axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975)).tolist()
    ratio = Ratio(float(means[0] / means[best]), low, high)
    return Result(name, tuple(means.tolist()), best, ratio)


@dataclass(frozen=True)
class Goal:
    """A ratio that is not to be exceeded, in the run or in each phase."""

    name: str
    most: float
    whole_run: bool


GOALS = (
    Goal("at least 10 % less mean time than the best static chain over the run", 0.90, True),
    Goal("at most 3 % more than the best static chain in each phase", 1.03, False),
)


def verdicts(results: Sequence[Result]) -> Mapping[str, str]:
    """Return what became of each goal: met, in the mean only, or missed, with the figures."""
    return {goal.name: _verdict(goal, results) for goal in GOALS}


def _verdict(goal: Goal, results: Sequence[Result]) -> str:
    ours = [one for one in results if (one.name == "run") is goal.whole_run]
    worst = max(one.ratio.mean for one in ours)
    surest = max(one.ratio.high for one in ours)
    said = "; ".join(f"{one.name} {told(one.ratio)}" for one in ours)
    if worst > goal.most:
        return f"missed: {said}"
    return f"{'met' if surest <= goal.most else 'met in the mean, not by the interval'}: {said}"


def told(ratio: Ratio) -> str:
    """Return a ratio as text."""
    return f"{ratio.mean:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
