"""The tokens that two vocabularies have in common, for drafts whose drawing matters.

A token that one vocabulary has and the other has too keeps the probability with which it was
drawn, as long as nothing but that token decides how it is spelled. So a run is translated token
by token here (TLI, Timor et al., arXiv:2502.05202), and never as a whole.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tiercel.text.translation import (
    Translated,
    Vocabulary,
    aligned,
    counterpart,
    spelled_whole,
)


class Intersection:
    """Which tokens of a drafter's vocabulary are one token of the parent's too."""

    def __init__(
        self, drafter: Vocabulary, parent: Vocabulary, *, drafter_size: int, parent_size: int
    ) -> None:
        """Compare vocabularies of so many ids; of ids with the same bytes the parent's lowest."""
        self._drafter, self._parent = drafter, parent
        by_bytes = {
            parent.token_bytes(token_id): token_id
            for token_id in reversed(range(parent_size))
            if not parent.is_special(token_id)
        }
        by_bytes.pop(b"", None)
        self.ids: NDArray[np.intp] = np.full(drafter_size, -1, dtype=np.intp)
        for token_id in range(drafter_size):
            if drafter.is_special(token_id):
                same = counterpart(token_id, drafter, parent)
            else:
                same = by_bytes.get(drafter.token_bytes(token_id))
            if same is not None:
                self.ids[token_id] = same
        self.ids.setflags(write=False)

    @property
    def share(self) -> float:
        """The share of the drafter's tokens that the parent has."""
        return float(np.mean(self.ids >= 0)) if len(self.ids) else 0.0

    def translate(self, run: Sequence[int], *, known: bytes) -> Translated:
        """Return the parent's tokens for a run of the drafter's that begins with `known` bytes.

        A token that both have stays one token, whatever stands around it. What lies between is
        spelled together, and so is the rest of a token that is known in part. The run ends before
        a special token that the parent lacks, and before bytes that it cannot spell; bytes of an
        unfinished character at its end are left out.
        """
        token_ids, same_as, between, missing = list[int](), list[int | None](), b"", known
        for place, token_id in enumerate(run):
            data = self._drafter.token_bytes(token_id)
            if missing:
                if not self._says(token_id, missing):
                    return Translated()
                between, missing = data[len(missing) :], missing[len(data) :]
                continue
            same, is_special = int(self.ids[token_id]), self._drafter.is_special(token_id)
            if same < 0 and not is_special:
                between += data
                continue
            spelled = self._parent.spell(between)
            if spelled is None or same < 0:
                break
            token_ids += [*spelled, same]
            same_as += [*(None for _ in spelled), place]
            between = b""
        spelled = spelled_whole(between, self._parent) or []
        token_ids += spelled
        same_as += [None for _ in spelled]
        translated = aligned(token_ids, run, self._drafter, self._parent, known=known)
        return replace(translated, same_as=tuple(same_as))

    def _says(self, token_id: int, known: bytes) -> bool:
        """Return whether a token says what is known, as far as both go."""
        data = self._drafter.token_bytes(token_id)
        begins_alike = data.startswith(known[: len(data)]) and known.startswith(data[: len(known)])
        return begins_alike and bool(data) and not self._drafter.is_special(token_id)
