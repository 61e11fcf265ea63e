"""Where a led strictness settled, and what it was worth beside the best that stands still."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.live.strictness_rows import Row
from bench.peers.report import Ratio
from tiercel.evaluation.statistics import Estimate, estimate

Doubles = NDArray[np.float64]
REPLICATES = 2_000
GOAL = 0.98  # of the best fixed strictness's goodput


def settled_at(strictness: Sequence[float], within: float = 0.05) -> int:
    """Return the first answer from which on strictness stays near where it ends.

    That is the median of the last quarter; a few answers in a hundred may stray.
    """
    values = np.asarray(strictness, np.float64)
    end = float(np.median(values[-max(1, len(values) // 4) :]))
    near = np.abs(values - end) <= within
    share = np.cumsum(near[::-1])[::-1] / np.arange(len(near), 0, -1)
    starts = np.flatnonzero(near & (share >= 0.95))
    return int(starts[0]) if len(starts) else len(values)


@dataclass(frozen=True)
class Judged:
    """Answers to the same prompts under one strictness: rows, and whether each was harmed."""

    rows: Sequence[Row]
    harmed: Sequence[bool]

    @property
    def goodput(self) -> float:
        """Tokens a second of priced work."""
        return sum(one.num_tokens for one in self.rows) / sum(one.cost_s for one in self.rows)

    @property
    def acceptance(self) -> float:
        """The share of judged draft tokens that stood."""
        return self._ratio("num_accepted", "num_judged")

    @property
    def divergence(self) -> float:
        """The share of compared tokens that EXACT would have refused; 0 under EXACT."""
        return self._ratio("num_divergent", "num_compared")

    def _ratio(self, above: str, below: str) -> float:
        total = sum(getattr(one, below) for one in self.rows)
        return sum(getattr(one, above) for one in self.rows) / total if total else 0.0

    @property
    def harm(self) -> Estimate:
        """The share of harmed answers."""
        return estimate([float(one) for one in self.harmed])

    def drawn(self, draws: NDArray[np.intp]) -> Doubles:
        """Return the goodput of each replicate, draws [replicates, prompts]."""
        tokens = np.array([one.num_tokens for one in self.rows], np.float64)[draws].sum(axis=1)
        costs = np.array([one.cost_s for one in self.rows], np.float64)[draws].sum(axis=1)
        drawn: Doubles = tokens / costs
        return drawn


def best_fixed(fixed: Mapping[float, Judged], most_harm: float) -> float:
    """Return the strictness of the most goodput among those of at most so much harm."""
    allowed = [one for one, judged in fixed.items() if judged.harm.mean <= most_harm]
    return max(allowed or [max(fixed)], key=lambda one: fixed[one].goodput)


@dataclass(frozen=True)
class Comparison:
    """The led strictness over the best fixed one of no more harm, on the same prompts."""

    best: float
    goodput: Ratio  # led / fixed
    led_goodput: float
    led_harm: Estimate
    fixed_harm: Estimate

    @property
    def verdict(self) -> str:
        """Whether the goal is reached."""
        said = f"{self.goodput.mean:.3f} [{self.goodput.low:.3f}, {self.goodput.high:.3f}]"
        said += f" of the goodput at {self.best:g}, goal {GOAL}"
        if self.goodput.mean < GOAL:
            return f"missed: {said}"
        sure = self.goodput.low >= GOAL
        return f"{'met' if sure else 'met in the mean, not by the interval'}: {said}"


def compared(led: Judged, fixed: Mapping[float, Judged], *, seed: int = 0) -> Comparison:
    """Return how the led strictness fares; prompts are drawn anew, all together."""
    best = best_fixed(fixed, led.harm.mean)
    count = len(led.rows)
    draws = np.random.default_rng(seed).integers(count, size=(REPLICATES, count))
    ratios = led.drawn(draws) / fixed[best].drawn(draws)
    low, high = np.quantile(ratios, (0.025, 0.975)).tolist()
    mean = led.goodput / fixed[best].goodput
    return Comparison(best, Ratio(mean, low, high), led.goodput, led.harm, fixed[best].harm)
