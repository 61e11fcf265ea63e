"""Prompts that the outcome matrix does not hold, as much of each set as the matrix has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.live.mixture import Prompt
from tiercel.evaluation.items import Item
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.sets import SETS, EvaluationSet


@dataclass(frozen=True)
class Question:
    """One prompt of a set, with what its answers are scored by."""

    set: EvaluationSet
    item: Item

    @property
    def prompt(self) -> Prompt:
        """What is asked; the kind is the set's, which stopping policies go by."""
        return Prompt(self.set.kind, self.item.id, tuple(self.set.messages(self.item)))


def scored_sets(cells: Sequence[Cells], tiers: Sequence[str]) -> dict[str, int]:
    """Return how many prompts all tiers answered, of each set whose answers are scored texts."""
    found = {}
    for name, each in SETS.items():
        asked = [_asked(cells, tier, name) for tier in tiers]
        count = len(set.intersection(*asked)) if asked else 0
        if count and not each.asks_letter and each.scorer != "none":
            found[name] = count
    return found


def _asked(cells: Sequence[Cells], column: str, set_name: str) -> set[str]:
    return {
        one.prompt_id
        for each in cells
        if (each.manifest.column, each.manifest.set_name) == (column, set_name)
        for one in each.outcomes
    }


def unseen(
    data: Path, cells: Sequence[Cells], shares: Mapping[str, int], number: int
) -> list[Question]:
    """Return `number` prompts that no column answered, or as many as there are, set by share.

    They are the last ones in the order of hashes, which a collection comes to last. Any beginning
    of the list has about the same shares. Raises InvalidRequest for a file that is missing.
    """
    fresh = {name: _fresh(data, cells, name) for name in shares}
    counts = apportioned(shares, {name: len(each) for name, each in fresh.items()}, number)
    placed = [
        ((place + 0.5) / counts[name], name, question)
        for name, each in fresh.items()
        for place, question in enumerate(each[: counts[name]])
    ]
    return [question for _, _, question in sorted(placed, key=lambda one: one[:2])]


def _fresh(data: Path, cells: Sequence[Cells], name: str) -> list[Question]:
    known = {
        one.prompt_id for each in cells if each.manifest.set_name == name for one in each.outcomes
    }
    items = reversed(SETS[name].read(data).items)
    return [Question(SETS[name], item) for item in items if item.id not in known]


def apportioned(shares: Mapping[str, int], most: Mapping[str, int], number: int) -> dict[str, int]:
    """Return whole counts by share that add up to `number`, or to all that there is.

    One at a time to whoever is farthest below its share (Sainte-Lague).
    """
    counts = dict.fromkeys(shares, 0)
    for _ in range(min(number, sum(most[name] for name in shares))):
        open_ = [name for name in shares if counts[name] < most[name]]
        counts[max(open_, key=lambda name: shares[name] / (2 * counts[name] + 1))] += 1
    return counts
