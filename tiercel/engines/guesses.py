"""What any source of drafts says: the next token, and how likely it is to be right."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Guess(NamedTuple):
    """One token that may follow."""

    token: int
    confidence: float  # in [0, 1]: of a hundred such guesses so many are right


class Source(Protocol):
    """Follows one sequence and guesses its next token."""

    name: str

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens behind the sequence's last."""
        ...

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on."""
        ...

    def guess(self) -> Guess | None:
        """Return what may come next, None without any evidence."""
        ...
