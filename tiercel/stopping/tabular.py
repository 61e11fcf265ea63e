"""The tabular programme: stopping on binned scores, which checks the fitted policy.

A state is the bin of the last answer's score and, with recall, that of the best score so far.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.stopping.programme import Move, Programme, Solution, solve
from tiercel.stopping.scores import StageScores, cross_fitted_scores, fit_scores
from tiercel.stopping.stages import StageData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_STATES = 20
_EQUAL = 1e-9  # scores that differ by rounding alone


@dataclass(frozen=True, eq=False)
class TabularPolicy:
    """Decides by the table of a solved programme."""

    scores: StageScores
    recall: bool
    edges: Floats  # between bins of scores, ascending
    programme: Programme
    solution: Solution

    def next_stages(
        self, stage: int, evidence: Floats, kinds: tuple[str, ...], best: Floats
    ) -> Ints:
        """Return for each item the stage that follows, or the same one where it stops."""
        own = _binned(self.scores.score(stage, evidence, kinds), self.edges)
        states = _state(own, _binned(best, self.edges), self.recall)
        return self.solution.choices[stage][states]


def fit_tabular(
    data: StageData,
    cost_weight: float,
    *,
    recall: bool,
    num_bins: int = 5,
    prior_rows: float = 1.0,
    num_folds: int = 5,
) -> TabularPolicy:
    """Return the policy of the programme whose numbers are counted in cross-fitted scores.

    Bins are quantiles of all stages' scores. A state's transitions are smoothed by a Dirichlet
    prior that is worth `prior_rows` rows spread as all items are, its reward by as many of its
    bin's mean score. Raises InvalidRequest for more than 20 states a stage.
    """
    num_states = num_bins * (num_bins + 1) // 2 if recall else num_bins
    if not 1 <= num_states <= MAX_STATES:
        raise InvalidRequest("num_bins", num_bins, f"{num_states} states, at most {MAX_STATES}")
    scores = cross_fitted_scores(data, num_folds)
    edges = _edges(scores.ravel(), num_bins)
    table = _Table(data, scores, edges, recall, prior_rows)
    programme = table.programme()
    solution = solve(programme, cost_weight)
    return TabularPolicy(fit_scores(data), recall, edges, programme, solution)


@dataclass(frozen=True, eq=False)
class _Table:
    """Counts rows by the states that they were in."""

    data: StageData
    scores: Floats  # [num_items, num_stages]
    edges: Floats
    recall: bool
    prior_rows: float

    def programme(self) -> Programme:
        stages = range(len(self.data.stages))
        moves = [(at, to) for at in stages for to in self.data.moves_from(at)]
        return Programme(
            rewards=tuple(self._rewards(stage) for stage in stages),
            transitions={move: self._transitions(move) for move in moves},
            seconds={(at, to): float(self.data.seconds[:, at + 1, to].mean()) for at, to in moves},
        )

    @property
    def _num_bins(self) -> int:
        return len(self.edges) + 1

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        """The own and best bin of each state, in the order of states."""
        bins = range(self._num_bins)
        if not self.recall:
            return [(own, own) for own in bins]
        return [(own, best) for best in bins for own in range(best + 1)]

    def _states(self, stage: int) -> Ints:
        """Return each row's state after it ran every stage up to this one."""
        binned = _binned(self.scores[:, : stage + 1], self.edges)
        return _state(binned[:, -1], binned.max(axis=1), self.recall)

    def _rewards(self, stage: int) -> Floats:
        """Return the mean quality of the kept answer by state."""
        kept = np.full(len(self.data), stage)
        if self.recall:
            kept = np.argmax(self.scores[:, : stage + 1], axis=1)
        quality = self.data.quality[np.arange(len(kept)), kept]
        states, count = self._states(stage), len(self._pairs)
        sums = np.bincount(states, quality, minlength=count)
        rows = np.bincount(states, minlength=count)
        usual = self._bin_means()[[best for _, best in self._pairs]]
        rewards: Floats = (sums + self.prior_rows * usual) / (rows + self.prior_rows)
        return rewards

    def _bin_means(self) -> Floats:
        """Return the mean score of each bin; every bin between two quantiles holds a score."""
        flat = self.scores.ravel()
        binned = _binned(flat, self.edges)
        means: Floats = np.bincount(binned, flat, minlength=self._num_bins) / np.maximum(
            np.bincount(binned, minlength=self._num_bins), 1
        )
        return means

    def _transitions(self, move: Move) -> Floats:
        """Return the chances of each state after the move, from counts of the next own bin."""
        at, to = move
        pairs, bins = self._pairs, _binned(self.scores[:, to], self.edges)
        counts = np.zeros((len(pairs), self._num_bins))
        np.add.at(counts, (self._states(at), bins), 1.0)
        usual = np.bincount(bins, minlength=self._num_bins) / len(bins)
        smoothed = counts + self.prior_rows * usual
        smoothed /= smoothed.sum(axis=1, keepdims=True)
        chances = np.zeros((len(pairs), len(pairs)))
        own = np.arange(self._num_bins)
        for state, (_, best) in enumerate(pairs):
            chances[state, _state(own, np.maximum(own, best), self.recall)] = smoothed[state]
        return chances


def _edges(scores: Floats, num_bins: int) -> Floats:
    """Return edges between bins of about equally many scores, none of them within equal scores."""
    ordered = np.sort(scores)
    starts = ordered[np.arange(1, num_bins) * len(ordered) // num_bins] - _EQUAL
    places = np.searchsorted(ordered, starts)
    places = np.unique(places[places > 0])
    edges: Floats = (ordered[places - 1] + ordered[places]) / 2
    return edges


def _binned(scores: Floats, edges: Floats) -> Ints:
    return np.searchsorted(edges, scores, side="right").astype(np.int64)


def _state(own: Ints, best: Ints, recall: bool) -> Ints:
    """Return the number of the state; the own bin is at most the best one."""
    states: Ints = best * (best + 1) // 2 + own if recall else own
    return states
