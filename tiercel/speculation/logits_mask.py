"""What a session asks about which tokens may follow, between a forward pass and its verdict."""

from collections.abc import Sequence
from typing import Protocol

from tiercel.engines.language_model import Logits


class LogitsMask(Protocol):
    """Forbids tokens, as a function of the tokens before them and of nothing else.

    For one session, and used in the model's thread only.
    """

    def masked(self, logits: Logits, answer: Sequence[int], draft: Sequence[int]) -> Logits:
        """Return a copy of `logits` with -inf for what is forbidden.

        Row i of [len(draft) + 1, vocab_size] is behind `answer` and i tokens of the draft.
        """
        ...

    def check_accepted(self, num_accepted: int) -> None:
        """Raise InvalidRequest if nothing may follow so many tokens of the draft asked for last."""
        ...
