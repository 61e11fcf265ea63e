"""Drafts of several drafters for one place, verified in one pass: rows that they share fed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tiercel.engines.trees import ROOT
from tiercel.speculation.link import Draft


@dataclass(frozen=True)
class DraftTree:
    """At least one draft, which may be empty."""

    drafts: tuple[Draft, ...]

    @cached_property
    def paths(self) -> tuple[tuple[int, ...], ...]:
        """For each draft the places of its tokens in `token_ids`."""
        return tuple(
            tuple(self._places[draft.token_ids[:end]] for end in range(1, len(draft.token_ids) + 1))
            for draft in self.drafts
        )

    @cached_property
    def token_ids(self) -> tuple[int, ...]:
        """Every token once for each beginning of a draft that ends with it, parents first."""
        return tuple(beginning[-1] for beginning in self._places)

    @cached_property
    def parents(self) -> Sequence[int] | None:
        """The place that each token follows, -1 for none; None if all follow the one before."""
        if len(self.drafts) == 1:
            return None
        return [self._places.get(beginning[:-1], ROOT) for beginning in self._places]

    @cached_property
    def _places(self) -> dict[tuple[int, ...], int]:
        """By the beginnings of drafts."""
        places: dict[tuple[int, ...], int] = {}
        for draft in self.drafts:
            for end in range(1, len(draft.token_ids) + 1):
                places.setdefault(draft.token_ids[:end], len(places))
        return places

    def num_more(self, draft: Draft) -> int:
        """Return how many tokens the tree has more with another draft in it."""
        with_it = DraftTree((*self.drafts, draft))
        return len(with_it.token_ids) - len(self.token_ids)
