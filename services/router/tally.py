"""What of an answer has been committed so far, over all replicas that had a part in it."""

from collections import Counter
from dataclasses import replace

from tiercel.errors import Unavailable
from tiercel.replies import Committed
from tiercel.sessions import SessionEnd
from tiercel.types import FinishReason, TierStats, Usage


class Tally:
    """The tokens, and who proposed them first."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self._proposed: Counter[str] = Counter()

    def append(self, committed: Committed) -> None:
        """Add tokens; raises Unavailable, for their sender is broken, if they do not follow."""
        expected = len(self.token_ids)
        if committed.position != expected:
            raise Unavailable(f"the tier committed position {committed.position}, not {expected}")
        self.token_ids += committed.token_ids
        for span in committed.spans:
            self._proposed[span.tier] += span.num_tokens

    def corrected(self, end: SessionEnd) -> SessionEnd:
        """Return the end of the last session with the counts of all of them."""
        tiers = (
            replace(tier, num_committed_tokens=self._proposed[tier.tier])
            for tier in end.usage.tiers
        )
        usage = replace(end.usage, num_completion_tokens=len(self.token_ids), tiers=tuple(tiers))
        return replace(end, usage=usage)

    def ended(self, reason: FinishReason, num_prompt_tokens: int) -> SessionEnd:
        """Return the end of an answer whose root did not end it."""
        tiers = (
            TierStats(tier, num_committed_tokens=number) for tier, number in self._proposed.items()
        )
        usage = Usage(num_prompt_tokens, len(self.token_ids), tiers=tuple(tiers))
        return SessionEnd(reason, usage)
