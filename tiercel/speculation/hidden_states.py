"""The hidden states that a parent's model had at its latest tokens, for drafters that ask."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tiercel.types import ModelDescription

# Positions that are kept: what a drafter gets that joins late.
_MOST = 64

States = NDArray[np.float32]  # shape [positions, hidden_size]


class HiddenStates:
    """A window over the latest positions of one sequence; without anyone who asks, empty.

    The model gives them along with logits, so there are none of the prompt but of its last token.
    """

    def __init__(self, description: ModelDescription) -> None:
        self._description = description
        self._start = 0  # position of the first row
        self._rows: list[NDArray[np.float16]] = []
        self._asking: set[HiddenFeed] = set()

    @property
    def is_asked(self) -> bool:
        """Whether a drafter works on these, or has not said yet that it does not."""
        return bool(self._asking)

    def space(self, count: int) -> States | None:
        """Return where a pass puts the states of `count` positions; None if nobody asks."""
        if not self.is_asked:
            return None
        return np.empty((count, self._description.hidden_size), np.float32)

    def note(self, position: int, states: States | None) -> None:
        """Take the states of the positions from `position` on."""
        if states is None:
            return
        self.cut(position)
        if position != self._start + len(self._rows):
            self._start, self._rows = position, []
        self._rows += list(states.astype(np.float16))
        surplus = max(0, len(self._rows) - _MOST)
        del self._rows[:surplus]
        self._start += surplus

    def cut(self, length: int) -> None:
        """Forget the positions from `length` on."""
        del self._rows[max(0, length - self._start) :]

    def between(self, start: int, end: int) -> bytes:
        """Return the last states in [start, end) without a gap before `end`, as they travel."""
        if not self._start <= end <= self._start + len(self._rows):
            return b""
        rows = self._rows[max(0, start - self._start) : end - self._start]
        return b"".join(row.astype("<f2").tobytes() for row in rows)

    def feed(self) -> "HiddenFeed":
        """Return what one drafter gets of these; until it says what it wants, it counts."""
        return HiddenFeed(self._description, self.between, self._asking)


class HiddenFeed:
    """What one drafter gets of its parent's hidden states."""

    def __init__(
        self,
        description: ModelDescription,
        between: Callable[[int, int], bytes],
        asking: "set[HiddenFeed]",
    ) -> None:
        self._description, self._between, self._asking = description, between, asking
        self._sent_end = 0
        self._wants = False
        if description.hidden_size:
            asking.add(self)

    def opened(self, hidden_size: int, digest: str) -> None:
        """Note what the drafter asks for: states of this size and of these weights, or none."""
        own = self._description
        self._wants = 0 < hidden_size == own.hidden_size and digest == own.weights_digest
        self._sent_end = 0
        if self._wants:
            self._asking.add(self)
        else:
            self.close()

    def rows(self, length: int, cut_length: int) -> bytes:
        """Return what the drafter lacks once it has `length` tokens, the first `cut_length` kept.

        All that there is in its first message, then what is new.
        """
        if not self._wants:
            return b""
        end = length - 1
        rows = self._between(min(self._sent_end, max(0, cut_length - 1)), end)
        self._sent_end = end if rows else 0
        return rows

    def close(self) -> None:
        """Ask for nothing any more."""
        self._asking.discard(self)
