"""What a replay shows: regret over requests, and how soon a learner is back after a change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.learning.replay import Course, Stream
from tiercel.evaluation.learning.world import Doubles, Ints
from tiercel.evaluation.statistics import Estimate

WINDOW = 50
"""Requests of each stream over which utility is averaged."""
CLOSE = 0.05
"""Share of the best policy's utility that may be missing."""
_REPLICATES = 500


@dataclass(frozen=True, eq=False)
class Utilities:
    """Utility of each request of each stream, [streams, requests]."""

    learner: Doubles
    static: Doubles  # the plan that is best in hindsight, for each stream
    oracle: Doubles  # who knows every answer
    best: Doubles  # who knows which plan is best on average for each kind, before and after


@dataclass(frozen=True)
class Regret:
    """Cumulative, at the end of a stream, and the same for each request."""

    over_static: Estimate
    over_oracle: Estimate
    mean_utility: Estimate


@dataclass(frozen=True)
class Recovery:
    """Requests after a change; None: not within what was replayed."""

    requests: int | None
    low: int | None
    high: int | None
    worst_shortfall: float  # share of the best policy's utility, in the worst window after it
    last_shortfall: float  # in the last quarter of what was replayed after it

    def is_within(self, goal: int) -> bool:
        """Return whether it is back by then, with confidence."""
        return self.high is not None and self.high <= goal


def utilities_of(course: Course, streams: Sequence[Stream], taken: Sequence[Ints]) -> Utilities:
    """Return what the choices of a learner and of the references are worth on the same requests."""
    found = [_of_stream(course, *one) for one in zip(streams, taken, strict=True)]
    return Utilities(*(np.stack(each) for each in zip(*found, strict=True)))


def regret(found: Utilities) -> Regret:
    """Return the regret at the end, with intervals over streams."""
    return Regret(
        _over_streams((found.static - found.learner).sum(axis=1)),
        _over_streams((found.oracle - found.learner).sum(axis=1)),
        _over_streams(found.learner.mean(axis=1)),
    )


def curve(reference: Doubles, learner: Doubles) -> Doubles:
    """Return the cumulative regret by request: its mean, low and high ends, [3, requests]."""
    sums = (reference - learner).cumsum(axis=1)
    mean = sums.mean(axis=0)
    half = 1.96 * sums.std(axis=0, ddof=1) / np.sqrt(len(sums))
    return np.stack([mean, mean - half, mean + half])


def smoothed(values: Doubles) -> Doubles:
    """Return the means over windows, [streams, requests - WINDOW + 1]."""
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    means: Doubles = (sums[:, WINDOW:] - sums[:, :-WINDOW]) / WINDOW
    return means


def recovery(learner: Doubles, best: Doubles) -> Recovery:
    """Return how soon utility is close to the best policy's; [streams, requests] after a change.

    The first window whose mean over all streams is, and the next window too. It ends so many
    requests after the change. The interval is over resampled streams.
    """
    lost, whole = smoothed(best - learner), smoothed(best)
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(lost), (_REPLICATES, len(lost)))
    times = np.array([_first_close(lost[rows], whole[rows]) for rows in drawn])
    low, high = np.percentile(times, (2.5, 97.5), method="inverted_cdf")
    share = lost.mean(axis=0) / whole.mean(axis=0)
    last = best.shape[1] * 3 // 4
    return Recovery(
        _known(_first_close(lost, whole)),
        _known(low),
        _known(high),
        float(share.max()),
        float(1 - learner[:, last:].mean() / best[:, last:].mean()),
    )


def _first_close(lost: Doubles, whole: Doubles) -> float:
    close = lost.mean(axis=0) <= CLOSE * whole.mean(axis=0)
    both = np.flatnonzero(close[:-WINDOW] & close[WINDOW:])
    return float(both[0] + WINDOW) if len(both) else float("inf")


def _known(requests: float) -> int | None:
    return int(requests) if np.isfinite(requests) else None


def _of_stream(course: Course, stream: Stream, taken: Ints) -> tuple[Doubles, ...]:
    is_after = np.arange(len(stream.rows)) >= course.at
    both = course.before.utilities[stream.rows], course.after.utilities[stream.rows]
    utilities = np.where(is_after[:, None], both[1], both[0])
    best = np.where(
        is_after,
        course.after.best_of_kind[stream.rows],
        course.before.best_of_kind[stream.rows],
    )
    each = np.arange(len(utilities))
    static = utilities[:, utilities.sum(axis=0).argmax()]
    return utilities[each, taken], static, utilities.max(axis=1), utilities[each, best]


def _over_streams(values: Doubles) -> Estimate:
    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (2_000, len(values)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5)).tolist()
    return Estimate(float(values.mean()), low, high, len(values))
