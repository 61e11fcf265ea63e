"""Fits a stopping policy by backward induction over paired answers, cross-fitted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.stopping.policy import Continuation, StoppingPolicy, gain_rows
from tiercel.stopping.programme import check_weight
from tiercel.stopping.replay import Place, Replay, onward, reordered
from tiercel.stopping.ridge import fit_ridge
from tiercel.stopping.scores import fit_scores, scores_of
from tiercel.stopping.stages import StageData
from tiercel.stopping.starts import fit_starts, means_by_kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def fit(
    data: StageData, cost_weight: float, *, recall: bool, num_folds: int = 5, trained_on: str = ""
) -> StoppingPolicy:
    """Return the policy for one weight, from the last stage to the first.

    For each move from stage k to a later stage j the target is what it brought each item: the
    quality of the answer that is kept in the end, less the priced seconds after j, less the quality
    of the answer that would be kept at k. Later decisions are those of policies, and scores those
    of regressors, that never saw the item's group (as in Longstaff and Schwartz 2001, which uses
    the same paths for both). Raises InvalidRequest for a weight below 0, fewer groups than folds,
    or recall with evidence of a prefix: an answer that was not finished cannot be kept.
    """
    check_weight(cost_weight)
    if recall and data.prefix_tokens is not None:
        raise InvalidRequest("recall", recall, "an unfinished answer cannot be kept")
    fitter = _Fitter.of(data, _untrained(data, cost_weight, recall), num_folds)
    for stage in reversed(range(len(data.stages))):
        fitter = fitter.with_continuations(stage)
    starts = fit_starts(data, fitter.without, fitter.held, fitter.whole.scores.kinds)
    return replace(fitter.whole, starts=starts, trained_on=trained_on)


def _untrained(
    data: StageData, cost_weight: float, recall: bool, kinds: Sequence[str] | None = None
) -> StoppingPolicy:
    """Return a policy that scores answers and always stops."""
    return StoppingPolicy(
        stages=data.stages,
        evidence_names=data.evidence_names,
        prefix_tokens=data.prefix_tokens,
        cost_weight=cost_weight,
        recall=recall,
        scores=fit_scores(data, kinds),
        continuations=(),
        stage_digests=data.stage_digests,
        reads_forecasts=data.forecasts is not None,
    )


@dataclass(frozen=True, eq=False)
class _Fitter:
    """The policy of all items, and for each fold one that never saw it, as far as they are."""

    data: StageData
    whole: StoppingPolicy
    held: tuple[Ints, ...]  # by fold: the rows that its policy never saw
    without: tuple[StoppingPolicy, ...]
    scores: Floats  # cross-fitted, [num_items, num_stages]

    @classmethod
    def of(cls, data: StageData, whole: StoppingPolicy, num_folds: int) -> "_Fitter":
        folds = data.folds(num_folds)
        held = tuple(np.flatnonzero(folds == fold) for fold in range(num_folds))
        seen = (data.take(np.flatnonzero(folds != fold)) for fold in range(num_folds))
        without = tuple(
            _untrained(part, whole.cost_weight, whole.recall, whole.scores.kinds) for part in seen
        )
        scores = np.zeros((len(data), len(data.stages)))
        for rows, policy in zip(held, without, strict=True):
            scores[rows] = scores_of(policy.scores, data.take(rows))
        return cls(data, whole, held, without, scores)

    def with_continuations(self, stage: int) -> "_Fitter":
        """Return the same with the ways on from a stage, whose later stages have theirs."""
        place = self._place(stage)
        best = place.best if self.whole.recall else None
        rows = gain_rows(
            self.data.evidence[:, stage],
            self.data.kinds,
            self.whole.scores.kinds,
            self.scores[:, stage],
            best,
        )
        everything = np.arange(len(self.data))
        whole, without = self.whole, list(self.without)
        for following in self.data.moves_from(stage):
            targets = self._gains(place, following)
            whole = self._added(whole, stage, following, rows, targets, everything)
            for fold, seen_not in enumerate(self.held):
                seen = np.setdiff1d(everything, seen_not)
                without[fold] = self._added(without[fold], stage, following, rows, targets, seen)
        return replace(self, whole=whole, without=tuple(without))

    def _place(self, stage: int) -> Place:
        """Return where items stand that ran every stage up to this one."""
        kept = np.full(len(self.data), stage, np.int64)
        if self.whole.recall:
            kept = np.argmax(self.scores[:, : stage + 1], axis=1)
        return Place(stage, kept, self.scores[np.arange(len(kept)), kept])

    def _gains(self, place: Place, following: int) -> Floats:
        """Return what going on brought each item, net of what the stages beyond took."""
        parts: list[Replay] = []
        for rows, policy in zip(self.held, self.without, strict=True):
            there = Place(following, place.kept[rows], place.best[rows])
            parts.append(onward(policy, self.data.take(rows), there))
        found = reordered(parts, list(self.held))
        now = self.data.quality[np.arange(len(self.data)), place.kept]
        gains: Floats = found.quality - self.whole.cost_weight * found.seconds - now
        return gains

    def _added(
        self,
        policy: StoppingPolicy,
        stage: int,
        following: int,
        rows: Floats,
        targets: Floats,
        seen: Ints,
    ) -> StoppingPolicy:
        """Return the policy with one more way on, learned from the rows that it may see."""
        kinds = [self.data.kinds[row] for row in seen]
        seconds = self.data.seconds[seen, stage + 1, following]
        flags = len(self.whole.scores.kinds)
        gain = fit_ridge(rows[seen], targets[seen], num_flags=flags)
        way = Continuation(
            stage, following, gain, float(seconds.mean()), means_by_kind(kinds, seconds)
        )
        return replace(policy, continuations=(*policy.continuations, way))
