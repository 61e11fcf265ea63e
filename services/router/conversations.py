"""What the router remembers of conversations: who answered last, and how it went."""

from collections import OrderedDict
from dataclasses import dataclass, replace

_MOST = 10_000


@dataclass(frozen=True)
class Remembered:
    """One conversation."""

    plan_name: str = ""  # that answered last
    num_turns: int = 0
    num_escalations: int = 0  # answers that a larger tier had to take over


class Conversations:
    """The conversations of late; of too many, the one that was silent longest is forgotten."""

    def __init__(self, most: int = _MOST) -> None:
        self._known: OrderedDict[str, Remembered] = OrderedDict()
        self._most = most

    def find(self, session_id: str) -> Remembered:
        """Return what is known; nothing for an id that is empty or was never seen."""
        return self._known.get(session_id, Remembered())

    def answered(self, session_id: str, plan_name: str, *, escalated: bool) -> None:
        """Note an answer; a plan that has no name is not gone back to."""
        if not session_id:
            return
        before = self.find(session_id)
        self._known[session_id] = replace(
            before,
            plan_name=plan_name,
            num_turns=before.num_turns + 1,
            num_escalations=before.num_escalations + escalated,
        )
        self._known.move_to_end(session_id)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
