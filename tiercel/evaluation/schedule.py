"""In which order cells are collected, so that every beginning of a run is of use.

First the pilot, then rounds. Each round adds an equal share of every set's prompts for every
column: cheap columns first, in them cheap sets first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tiercel.evaluation.column import Column
from tiercel.evaluation.items import Item, Items
from tiercel.evaluation.pilot import CUT_PROMPTS, PILOT_PROMPTS, Pilot
from tiercel.evaluation.sets import EvaluationSet
from tiercel.evaluation.voting import VOTED

_NUM_ROUNDS = 12


@dataclass(frozen=True)
class Unit:
    """Some prompts of a set for one column, each answered `num_samples` times."""

    column: Column
    set: EvaluationSet
    items: tuple[Item, ...]
    num_samples: int = 1


@dataclass(frozen=True)
class Work:
    """What is to be collected: columns, cheap ones first, and the prompts of each set."""

    columns: Sequence[Column]
    sets: Sequence[EvaluationSet]
    items: Mapping[str, Items]  # by the set's name
    num_samples: int  # of each sampled prompt
    limit: int | None = None  # prompts of each set

    def pilot(self) -> Iterator[Unit]:
        """Yield the tiers alone, greedy, on the first prompts of every set."""
        for column in self.columns:
            for each in self.sets:
                if column.is_one_tier and not column.temperature:
                    yield self._unit(column, each, 0, self._planned(each, PILOT_PROMPTS))

    def rounds(self, pilot: Pilot) -> Iterator[Unit]:
        """Yield all that the pilot leaves to do, its own prompts once more among them."""
        for turn in range(_NUM_ROUNDS):
            for column in self.columns:
                for each in self.sets:
                    wanted = self._wanted(column, each, pilot)
                    share = (wanted * turn // _NUM_ROUNDS, wanted * (turn + 1) // _NUM_ROUNDS)
                    unit = self._unit(column, each, *share)
                    if column.votes > 1:
                        yield replace(unit, column=column.samples, num_samples=column.votes)
                    yield unit

    def _wanted(self, column: Column, each: EvaluationSet, pilot: Pilot) -> int:
        """Return how many prompts of a set a column answers."""
        verdict = pilot.sets.get(each.name)
        is_cut = verdict is not None and verdict.is_cut
        if not _says_something(column, each):
            return 0
        if column.temperature and column.votes == 1:
            return self._planned(each, 0 if is_cut else each.num_sampled)
        return self._planned(each, CUT_PROMPTS if is_cut else each.num_prompts)

    def _planned(self, each: EvaluationSet, most: int) -> int:
        count = min(most, each.num_prompts, len(self.items[each.name].items))
        return count if self.limit is None else min(count, self.limit)

    def _unit(self, column: Column, each: EvaluationSet, start: int, end: int) -> Unit:
        items = self.items[each.name].items[start:end]
        is_sampled = column.temperature > 0 and column.votes == 1
        return Unit(column, each, items, self.num_samples if is_sampled else 1)


def _says_something(column: Column, each: EvaluationSet) -> bool:
    """Return whether a column may answer a set otherwise than its root alone does.

    Not where one token is read from one pass, nor where texts cannot be equal answers.
    """
    if column.votes > 1:
        return each.scorer in VOTED
    return column.is_one_tier or not each.asks_letter
