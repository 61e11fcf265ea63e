"""How long a parent waits for one drafter, and when it stops asking: pure, time is an argument.

A drafter must never cost much more than it brings, so that with a dead, slow or lying one a parent
stays near plain decoding. What is suspended is probed again after a pause that doubles.
"""

# Weight of the newest observation in the running means.
_NEWEST = 0.3
# Blocks in a row that came late, or of which nothing stood, before a drafter is suspended.
_PATIENCE_BLOCKS = 3
# Drafting may cost this much more than plain decoding per token before it is given up.
_TOLERANCE = 1.1
# First and longest pause, in committed tokens.
_FIRST_PAUSE, _LONGEST_PAUSE = 16, 1024
# How long a parent waits for a block when it is told to draft in any case.
_ALWAYS_WAIT_S = 2.0


class Pace:
    """What one parent knows of one drafter's speed and worth in one request."""

    def __init__(self, *, opened_at: float, always: bool = False) -> None:
        """Start when the stream opens; with `always` the drafter is never suspended."""
        self._opened_at, self._always = opened_at, always
        self._asked_at: float | None = None
        self._latency_s: float | None = None  # from the question to the block
        self._num_bad = 0
        self._pause = _FIRST_PAUSE
        self._resume_at = 0  # length of the sequence from which it is asked again
        self._cycle_s, self._cycle_tokens, self._num_cycles = 0.0, 0.0, 0

    def is_asked(self, length: int) -> bool:
        """Return whether the drafter is to be asked when the sequence has `length` tokens."""
        return length >= self._resume_at

    def asked(self, now: float) -> None:
        """Note that a block is wanted from now on, if none was wanted already."""
        if self._asked_at is None:
            self._asked_at = now

    def arrived(self, now: float) -> None:
        """Note that a block came."""
        if self._asked_at is not None:
            latency = now - self._asked_at
            self._latency_s = _mean(self._latency_s, latency)
            self._asked_at = None

    def wait_until(self, prefill_s: float, step_s: float) -> float:
        """Return the time up to which the parent waits: one own step past the expected arrival.

        Before its first block a drafter is given as long as the parent's own prefill took, twice.
        """
        if self._always:
            return (self._asked_at or self._opened_at) + _ALWAYS_WAIT_S
        if self._latency_s is None:
            return self._opened_at + 2 * prefill_s + step_s
        asked_at = self._opened_at if self._asked_at is None else self._asked_at
        return asked_at + self._latency_s + step_s

    def late(self, length: int) -> None:
        """Note that the parent went on without a block."""
        self._bad(length)

    def judged(self, num_accepted: int, num_rejected: int, length: int) -> None:
        """Note how many tokens of a block stood."""
        if num_accepted:
            self._num_bad, self._pause = 0, _FIRST_PAUSE
        elif num_rejected:
            self._bad(length)

    def cycle(self, seconds: float, num_tokens: int, plain_s: float, length: int) -> None:
        """Note one round of waiting and verifying against the cost of one plain token."""
        self._cycle_s = _mean(self._cycle_s or None, seconds)
        self._cycle_tokens = _mean(self._cycle_tokens or None, num_tokens)
        self._num_cycles += 1
        dear = self._cycle_s > _TOLERANCE * plain_s * self._cycle_tokens
        if dear and self._num_cycles >= _PATIENCE_BLOCKS:
            self._suspend(length)

    def _bad(self, length: int) -> None:
        self._num_bad += 1
        if self._num_bad >= _PATIENCE_BLOCKS:
            self._suspend(length)

    def _suspend(self, length: int) -> None:
        if self._always:
            return
        self._resume_at = length + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        # One bad block more is enough next time; a good one clears the count.
        self._num_bad = _PATIENCE_BLOCKS - 1
        self._cycle_s = self._cycle_tokens = 0.0
        self._num_cycles = _PATIENCE_BLOCKS - 1
        self._asked_at = None


def _mean(old: float | None, new: float) -> float:
    return new if old is None else (1 - _NEWEST) * old + _NEWEST * new
