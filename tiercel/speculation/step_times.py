"""What a pass over so many tokens takes, fitted to those that were seen: pure."""

# Weight of what was seen before when a pass is added.
_KEPT = 0.9
# Until passes of several widths were seen: what a further token costs, over a pass of one.
_ROW_SHARE = 0.1
# How many passes that guess weighs, at a distance of one token from the mean width.
_GUESS_WEIGHT = 0.02
# A pass that takes so many times what was expected was held up by something else.
_OUTLIER = 4.0


class StepTimes:
    """A line through (tokens, seconds), by least squares with the newest passes weighing most."""

    def __init__(self, kept: float = _KEPT) -> None:
        """Let what was seen before weigh `kept` of itself when a pass is added."""
        self._kept = kept
        self._weight = self._mean_width = self._mean_s = 0.0
        self._width_variance = self._covariance = 0.0  # times the weight

    @property
    def is_known(self) -> bool:
        """Whether any pass was seen."""
        return self._weight > 0

    @property
    def plain_s(self) -> float:
        """Seconds of a pass over one token; 0 before any pass was seen."""
        return self.seconds(1)

    def seconds(self, num_tokens: int) -> float:
        """Return the seconds that a pass over so many tokens is expected to take."""
        if not self.is_known:
            return 0.0
        # A line that falls below a share of the mean has left what it was fitted to.
        straight = self._mean_s + self.row_s * (num_tokens - self._mean_width)
        return max(straight, 0.1 * self._mean_s)

    def note(self, num_tokens: int, seconds: float) -> None:
        """Take in a pass."""
        if self._weight > 1:
            seconds = min(seconds, _OUTLIER * self.seconds(num_tokens))
        self._weight = self._kept * self._weight + 1
        width_off, s_off = num_tokens - self._mean_width, seconds - self._mean_s
        self._mean_width += width_off / self._weight
        self._mean_s += s_off / self._weight
        self._width_variance = self._kept * self._width_variance + width_off * (
            num_tokens - self._mean_width
        )
        self._covariance = self._kept * self._covariance + width_off * (seconds - self._mean_s)

    @property
    def row_s(self) -> float:
        """Seconds of one more token, never negative."""
        guess = _ROW_SHARE * self._mean_s / (1 + _ROW_SHARE * (self._mean_width - 1))
        total = self._covariance + _GUESS_WEIGHT * guess
        return max(0.0, total / (self._width_variance + _GUESS_WEIGHT))
