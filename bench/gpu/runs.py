"""What one run of one system says, and the systems' common form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass
class Run:
    """Tokens decoded, and what became of drafts."""

    num_tokens: int = 0
    num_accepted: int = 0
    num_rejected: int = 0

    def judged(self, num_drafts: int, num_accepted: int) -> None:
        """Count one block; what follows a rejection is not judged."""
        self.num_accepted += num_accepted
        self.num_rejected += num_accepted < num_drafts

    @property
    def acceptance(self) -> float | None:
        """Return accepted / (accepted + rejected), None without drafts."""
        judged = self.num_accepted + self.num_rejected
        return self.num_accepted / judged if judged else None


@dataclass(frozen=True)
class System:
    """One way to decode; `most_sessions` is how many sequences it can decode together."""

    name: str
    decode: Callable[[Sequence[list[int]], int], Run]
    most_sessions: int | None = None
