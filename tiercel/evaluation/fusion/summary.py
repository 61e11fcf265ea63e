"""A table of a fusion's results: accuracy with intervals, what was gained, what it took."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tiercel.evaluation.fusion.results import Result
from tiercel.evaluation.statistics import Estimate, estimate

_SCORES = ("set", "method", ">items", ">accuracy", ">95 %", ">gain", ">95 %")
HEAD = (*_SCORES, ">replaced", ">draft passes", ">target passes", ">tokens/s")
_REPLICATES = 10_000
_ALL = "all sets"


@dataclass(frozen=True)
class Row:
    """One method on one set; `gain` is against the method's baseline, item by item."""

    set_name: str
    method: str
    accuracy: Estimate
    gain: Estimate | None  # None without items that both answered
    share_replaced: float  # of the answer's tokens
    draft_passes: float  # for each token of the answer
    target_passes: float
    tokens_per_s: float

    @property
    def cells(self) -> Sequence[str]:
        """The row as texts for a table."""
        accuracy, gain = self.accuracy, self.gain
        return (
            self.set_name,
            self.method,
            str(accuracy.count),
            f"{accuracy.mean:.1%}",
            f"{accuracy.low:.1%} to {accuracy.high:.1%}",
            f"{100 * gain.mean:+.1f}" if gain else "",
            f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}" if gain else "",
            f"{self.share_replaced:.1%}",
            f"{self.draft_passes:.2f}",
            f"{self.target_passes:.2f}",
            f"{self.tokens_per_s:.0f}",
        )


def rows_of(results: Sequence[Result], baseline_of: Callable[[str], str]) -> list[Row]:
    """Return a row for each set and method, by set; `baseline_of` names a method's baseline.

    Where there are several sets, a row over all of them follows for each method that answered as
    many items of each.
    """
    groups = _groups(results)
    groups |= _groups([replace(one, set_name=_ALL) for one in results if _is_even(one, groups)])
    return [
        _row(some, groups.get((set_name, baseline_of(method)), []))
        for (set_name, method), some in sorted(groups.items(), key=lambda group: _place(*group[0]))
    ]


def _groups(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    """Return the results by set and method."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        groups.setdefault((one.set_name, one.method), []).append(one)
    return groups


def _is_even(one: Result, groups: Mapping[tuple[str, str], Sequence[Result]]) -> bool:
    """Return whether the method of a result answered as many items of every set, of several."""
    sets = {set_name for set_name, _ in groups}
    counts = {len(groups.get((set_name, one.method), ())) for set_name in sets}
    return len(sets) > 1 and len(counts) == 1


def _place(set_name: str, method: str) -> tuple[bool, str, bool, str]:
    """Return a key that puts the rows over all sets last, and the simplest methods first."""
    return set_name == _ALL, set_name, method.startswith("CoSD"), method


def paired_gain(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Return the mean difference of two methods' scores on the same items, with its 95 % interval.

    Percentiles of 10,000 bootstrap means, always the same for the same scores.
    """
    differences = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    places = np.random.default_rng(0).integers(0, len(differences), (_REPLICATES, len(differences)))
    low, high = np.percentile(differences[places].mean(axis=1), (2.5, 97.5)).tolist()
    return Estimate(float(differences.mean()), low, high, len(differences))


def _row(some: Sequence[Result], baseline: Sequence[Result]) -> Row:
    known = {one.item_id: one.score for one in baseline}
    both = [one for one in some if one.item_id in known]
    gain = None
    if both:
        gain = paired_gain([one.score for one in both], [known[one.item_id] for one in both])
    num_tokens = sum(one.num_tokens for one in some)
    return Row(
        set_name=some[0].set_name,
        method=some[0].method,
        accuracy=estimate([one.score for one in some]),
        gain=gain,
        share_replaced=sum(one.num_replaced for one in some) / num_tokens,
        draft_passes=sum(one.num_draft_passes for one in some) / num_tokens,
        target_passes=sum(one.num_target_passes for one in some) / num_tokens,
        tokens_per_s=num_tokens / sum(one.seconds for one in some),
    )
