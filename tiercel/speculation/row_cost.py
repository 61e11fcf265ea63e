"""What a further token of a pass costs, over a pass of one token: of one model, pure."""

from math import exp

# Until it is measured, and how many further tokens that guess weighs.
_GUESS, _GUESS_WEIGHT = 0.1, 20.0
# The time of a width is the one below which so many of its passes stay: what holds a pass up on a
# busy machine only ever makes it longer.
_QUANTILE = 0.3
# How far a pass moves that time, once many were seen; the first ones move it further.
_STEP = 0.05
# Passes of one width count for no more than so many, and for less with every pass of another.
_MOST, _KEPT = 50.0, 0.99
# Of passes that are worth a look.
_WIDEST = 33


class RowCost:
    """Follows the passes that one session had for itself, whichever session that was."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}  # by width
        self._counts: dict[int, float] = {}

    def note(self, num_tokens: int, seconds: float) -> None:
        """Take in a pass, in seconds of a processor: they say more on a busy machine."""
        if num_tokens > _WIDEST or not seconds > 0:
            return
        known = self._times.get(num_tokens, seconds)
        count = self._counts.pop(num_tokens, 0.0)
        step = max(_STEP, 1 / (1 + count))
        towards = _QUANTILE if seconds > known else _QUANTILE - 1
        self._times[num_tokens] = known * exp(step * towards) if count else seconds
        for width in self._counts:
            self._counts[width] *= _KEPT
        self._counts[num_tokens] = min(_MOST, count + 1)

    @property
    def share(self) -> float:
        """What one more token costs, as a share of a pass over a single one: from 0 to 1."""
        plain_s = self._times.get(1)
        if plain_s is None:
            return _GUESS
        cost, weight = _GUESS * _GUESS_WEIGHT, _GUESS_WEIGHT
        for width, count in self._counts.copy().items():
            cost += count * (self._times[width] / plain_s - 1)
            weight += count * (width - 1)
        return min(1.0, max(0.0, cost / weight))
