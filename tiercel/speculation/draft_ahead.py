"""Whether a drafter is to go on while its parent verifies: both ways are tried and timed. Pure.

It hides the drafter's time and the network's, and is for nothing after a rejection. Where both
tiers share cores, the parent's own passes take longer meanwhile.
"""

from tiercel.decoding import expected_tokens

# Rounds that each way is timed for; the first ones after a change still belong to the other.
_TIMED, _SETTLING = 8, 2
# Rounds until the other way is tried again, the first time and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 64, 1024
# The other way has to be cheaper by so much.
_WORTH_CHANGING = 0.97


class DraftAhead:
    """Credit beyond one block for one drafter of one request."""

    def __init__(self, most: int, *, always: bool = False) -> None:
        """Give up to `most` tokens; with `always`, all of them whatever it costs."""
        self._most, self._always = most, always
        self._is_on = always
        self._costs: dict[bool, float] = {}  # seconds for a token, by whether it is on
        self._sum_s, self._num_rounds = 0.0, 0  # since the last change
        self._pause = _FIRST_PAUSE
        self._is_trying = True

    @property
    def num_tokens(self) -> int:
        """Tokens that the drafter may run ahead beyond one block, now."""
        return self._most if self._is_on else 0

    def round(self, seconds: float, num_drafted: int, acceptance_rate: float) -> None:
        """Note a round of waiting and verifying so many draft tokens.

        What counts is seconds over the tokens to be expected: how many really stood is luck.
        """
        if self._always or not self._most:
            return
        self._num_rounds += 1
        if self._is_trying and self._num_rounds > _SETTLING:
            self._sum_s += seconds / expected_tokens(acceptance_rate, num_drafted)
        if self._is_trying and self._num_rounds >= _SETTLING + _TIMED:
            self._timed(self._sum_s / _TIMED)
        elif not self._is_trying and self._num_rounds >= self._pause:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            # What this way costs may have changed as well: it is timed first, then the other.
            self._costs.clear()
            self._try(self._is_on)

    def _timed(self, cost_s: float) -> None:
        self._costs[self._is_on] = cost_s
        if len(self._costs) < 2:
            self._try(not self._is_on)
            return
        other_s = self._costs[not self._is_on]
        # What is on trial last is the newcomer: it has to be the cheaper one by a margin.
        is_better = cost_s < _WORTH_CHANGING * other_s
        self._try(self._is_on if is_better else not self._is_on)
        self._is_trying = False

    def _try(self, is_on: bool) -> None:
        self._is_on, self._is_trying = is_on, True
        self._sum_s, self._num_rounds = 0.0, 0
