"""What of an answer is sent when a larger tier may still overrule it: later, or with a revision."""

from collections.abc import Sequence
from typing import Protocol

from tiercel.replies import Committed, Revise, StageDecision

Part = Committed | Revise


class Delivering(Protocol):
    """Takes what is committed by one plan, and another that overrules it; says what is sent now.

    `words` is the fingerprint of the tokenizer whose ids the tokens are.
    """

    @property
    def can_change(self) -> bool:
        """Whether another plan's answer may still take the place of this one's."""
        ...

    def take(self, committed: Committed, words: str) -> Sequence[Part]:
        """Return what is sent of further tokens of the present plan."""
        ...

    def certain(self) -> Sequence[Part]:
        """Return what is sent now that no larger tier will be asked."""
        ...

    def overruled(self, decision: StageDecision) -> None:
        """Begin anew: what is taken from now on is another plan's, from its first token on."""
        ...

    def over(self) -> Sequence[Part]:
        """Return what is still to be sent: the present plan's answer is complete."""
        ...


class Streamed:
    """Sends everything at once, and for good."""

    can_change = False

    def take(self, committed: Committed, words: str) -> Sequence[Part]:
        """Return the tokens."""
        return (committed,)

    def certain(self) -> Sequence[Part]:
        """Hold nothing back."""
        return ()

    def overruled(self, decision: StageDecision) -> None:
        """Never be."""
        raise AssertionError("what was sent stands")

    def over(self) -> Sequence[Part]:
        """Hold nothing back."""
        return ()


class Held:
    """Sends nothing before it is certain."""

    def __init__(self) -> None:
        self._waiting: list[Committed] = []
        self._is_certain = self._has_sent = False

    @property
    def can_change(self) -> bool:
        """Whether nothing was sent yet."""
        return not self._has_sent

    def take(self, committed: Committed, words: str) -> Sequence[Part]:
        """Keep the tokens, unless they are certain."""
        self._waiting.append(committed)
        return self._released() if self._is_certain else ()

    def certain(self) -> Sequence[Part]:
        """Return what was kept."""
        self._is_certain = True
        return self._released()

    def overruled(self, decision: StageDecision) -> None:
        """Forget what was kept."""
        self._waiting, self._is_certain = [], False

    def over(self) -> Sequence[Part]:
        """Return what was kept."""
        return self._released()

    def _released(self) -> Sequence[Part]:
        released, self._waiting = self._waiting, []
        self._has_sent |= bool(released)
        return released
