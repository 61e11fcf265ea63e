"""What every plan made of every prompt, and what it took: all that a replay looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.evaluation.frontier.grouping import near_duplicates
from tiercel.prediction.examples import Examples

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Rows = NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Prefix:
    """What each plan's first tokens say, and what they take: arrays as of whole answers."""

    evidence: Floats  # [n, plans, number of evidence features]
    costs: Doubles  # [n, plans]


@dataclass(frozen=True, eq=False)
class Table:
    """n prompts by a few plans, complete; costs and scores of each.

    `samples` are further answers' scores, NaN where there are none: they tell luck from skill.
    """

    name: str
    examples: Examples
    costs: Doubles  # [n, plans], in `cost_unit`
    cost_unit: str
    prompt_ids: tuple[str, ...]
    texts: tuple[str, ...]  # of the prompts
    strata: tuple[str, ...]  # a finer division of kinds, such as a subject
    sources: Mapping[str, str]  # digests of what it was read from, by name
    samples: Doubles  # [n, plans, k]; k may be 0
    prefixes: Mapping[int, Prefix] = field(default_factory=dict)  # by number of tokens
    lossy: tuple[bool, ...] = ()  # by plan: whether it may differ from its root's own answer

    @property
    def scores(self) -> Doubles:
        """Each plan's score on each prompt, [n, plans]."""
        return self.examples.scores.astype(np.float64)

    @property
    def plan_names(self) -> tuple[str, ...]:
        """The plans in the order of their columns, cheap ones first."""
        return self.examples.plan_names

    @property
    def kinds(self) -> NDArray[np.str_]:
        """Each prompt's kind, [n]."""
        return np.array(self.examples.kinds)

    def __len__(self) -> int:
        """How many prompts there are."""
        return len(self.prompt_ids)

    def rows(self, index: Rows) -> "Table":
        """Return the prompts of an index, in its order."""
        chosen = np.arange(len(self))[index]

        def some(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(values[at] for at in chosen)

        prefixes = {
            length: Prefix(one.evidence[chosen], one.costs[chosen])
            for length, one in self.prefixes.items()
        }
        return replace(
            self,
            examples=self.examples.rows(chosen),
            costs=self.costs[chosen],
            prompt_ids=some(self.prompt_ids),
            texts=some(self.texts),
            strata=some(self.strata),
            samples=self.samples[chosen],
            prefixes=prefixes,
        )

    def features_apart(self, count: int) -> tuple["Table", Floats]:
        """Return the table with the first `count` features, and those after them, [n, rest]."""
        features = self.examples.features
        first = replace(self.examples, features=features[:, :count])
        return replace(self, examples=first), features[:, count:]

    def plans(self, columns: Sequence[int]) -> "Table":
        """Return the same prompts with some of the plans."""
        at, old = list(columns), self.examples
        prefixes = {
            length: Prefix(one.evidence[:, at], one.costs[:, at])
            for length, one in self.prefixes.items()
        }
        examples = replace(
            old,
            evidence=old.evidence[:, at],
            scores=old.scores[:, at],
            num_tokens=old.num_tokens[:, at],
            plan_names=tuple(old.plan_names[one] for one in at),
        )
        return replace(
            self,
            examples=examples,
            costs=self.costs[:, at],
            samples=self.samples[:, at],
            prefixes=prefixes,
            lossy=tuple(self.lossy[one] for one in at) if self.lossy else (),
        )


def groups_of(texts: Sequence[str], prompt_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the name of each prompt's group of near duplicates: an id of one of them."""
    return tuple(prompt_ids[first] for first in near_duplicates(texts))


def check_complete(table: Table) -> None:
    """Raise InvalidRequest unless scores and costs are numbers in range, and plans differ."""
    scores, costs = table.scores, table.costs
    checks = (
        (len(table) > 0, "holds no prompt that all plans answered"),
        (len(table.plan_names) > 1, "holds one plan: there is nothing to route"),
        (bool(((scores >= 0) & (scores <= 1)).all()), "holds a score outside of 0 to 1"),
        (bool((np.isfinite(costs) & (costs >= 0)).all()), "holds a cost that is no cost"),
    )
    for holds, why in checks:
        if not holds:
            raise InvalidRequest("table", table.name, why)
