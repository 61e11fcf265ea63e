"""What drafting may cost one request more than plain decoding would have: pure."""

from tiercel.speculation.step_times import StepTimes

# Of the time since the first token, and so many plain passes, so that drafters get a chance at all.
_SHARE, _PASSES = 0.05, 2.0
# Passes that good drafters may earn for worse times.
_MOST_EARNED = 4.0


class LossBudget:
    """Counts the seconds of one request; what drafters lose is against plain decoding.

    Speed is promised: with any drafters whatever a request is at least 0.85 times as fast as
    without. A bad drafter is soon left alone, but each has its first rounds, and so has each probe;
    in a short answer these weigh most.
    """

    def __init__(self, *, unlimited: bool = False) -> None:
        """With `unlimited` anything may be lost, for measurements."""
        self._unlimited = unlimited
        self._elapsed_s = self._lost_s = 0.0

    def spent(self, seconds: float, num_tokens: int, plain_s: float, *, drafted: bool) -> None:
        """Note a round of waiting and verifying, or of plain decoding, that brought tokens."""
        self._elapsed_s += seconds
        if drafted:
            self._lost_s += seconds - num_tokens * plain_s
            self._lost_s = max(self._lost_s, -_MOST_EARNED * plain_s)

    def left_s(self, plain_s: float) -> float:
        """Return how many more seconds may be lost."""
        if self._unlimited:
            return float("inf")
        return _SHARE * self._elapsed_s + _PASSES * plain_s - self._lost_s

    def affordable(self, steps: StepTimes, most: int, waited_s: float = 0.0) -> int:
        """Return the longest draft of at most `most` tokens that may be verified in vain.

        `waited_s` was lost in this round already.
        """
        left_s, row_s = self.left_s(steps.plain_s) - waited_s, steps.row_s
        if most * row_s <= left_s:
            return most
        return max(0, int(left_s / row_s)) if row_s else 0
