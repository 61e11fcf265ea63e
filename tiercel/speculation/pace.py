"""How long a parent waits for one drafter, and when it stops asking it: pure, time is an argument.

A drafter must never cost much more than it brings, so that with a dead, slow or lying one a parent
stays near plain decoding. Everything is judged by one figure, seconds for a token: waiting and
verifying over the tokens that they brought, against plain decoding.
"""

# Weight of the newest observation in the running means.
_NEWEST = 0.3
# Rounds vary with luck: more of them have to count.
_NEWEST_ROUND = 0.15
# Drafting may cost this much more than plain decoding per token before it is given up.
_TOLERANCE = 1.05
# Rounds before a new drafter is judged, and before one that was suspended is judged again.
_TRIAL_ROUNDS, _PROBE_ROUNDS = 3, 2
# First and longest pause, in committed tokens.
_FIRST_PAUSE, _LONGEST_PAUSE = 16, 1024
# How long a parent waits for a block when it is told to draft in any case.
_ALWAYS_WAIT_S = 2.0


class Pace:
    """What one parent knows of one drafter's speed and worth in one request."""

    def __init__(self, *, opened_at: float, always: bool = False) -> None:
        """Start when the stream opens; with `always` the drafter is asked whatever it costs."""
        self._opened_at, self._always = opened_at, always
        self._asked_at: float | None = None
        self._latency_s: float | None = None  # from the question to the block
        self._deviation_s = 0.0  # mean absolute deviation of the latency
        self._pause = _FIRST_PAUSE
        self._resume_at = 0  # length of the sequence from which it is asked again
        self._round_s, self._round_tokens = 0.0, 0.0  # running means
        self._num_rounds, self._num_needed = 0, _TRIAL_ROUNDS

    def reopened(self, now: float) -> None:
        """Note that a lost stream is opened anew; what is known of the drafter stays true."""
        self._opened_at, self._asked_at = now, None

    def is_asked(self, length: int) -> bool:
        """Return whether the drafter is to be asked when the sequence has `length` tokens."""
        return length >= self._resume_at

    def num_resting(self, length: int) -> int:
        """Return how many more tokens go by before the drafter is asked again."""
        return max(0, self._resume_at - length)

    @property
    def is_on_trial(self) -> bool:
        """Whether too little is known of the drafter to judge it."""
        return self._num_rounds < self._num_needed

    def rest(self, length: int) -> None:
        """Leave the drafter alone for a while, longer every time."""
        if self._always:
            return
        self._resume_at = length + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._round_s = self._round_tokens = 0.0
        self._num_rounds, self._num_needed = 0, _PROBE_ROUNDS
        self._asked_at = None

    def pays(self, plain_s: float, most_tokens: int) -> bool:
        """Return whether to wait for a block, plain decoding taking `plain_s` for each token.

        A block brings what blocks brought before; without experience, `most_tokens`.
        """
        if self._always or self._latency_s is None:
            return True
        tokens = most_tokens if self.is_on_trial else self._round_tokens
        return self._latency_s + plain_s <= _TOLERANCE * plain_s * tokens

    def asked(self, now: float) -> None:
        """Note that a block is wanted from now on, if none was wanted already."""
        if self._asked_at is None:
            self._asked_at = now

    def arrived(self, now: float) -> float | None:
        """Note that a block came; return the seconds since it was wanted, if any was."""
        if self._asked_at is None:
            return None
        latency_s = now - self._asked_at
        if self._latency_s is not None:
            surprise_s = abs(latency_s - self._latency_s)
            self._deviation_s = mean(self._deviation_s, surprise_s)
        self._latency_s = mean(self._latency_s, latency_s)
        self._asked_at = None
        return latency_s

    def wait_until(self, prefill_s: float, step_s: float) -> float:
        """Return the time up to which the parent waits: one own step past the expected arrival.

        Before its first block a drafter is given twice the time of the parent's own prefill.
        """
        if self._always:
            return (self._asked_at or self._opened_at) + _ALWAYS_WAIT_S
        if self._latency_s is None:
            return self._opened_at + 2 * prefill_s + step_s
        asked_at = self._opened_at if self._asked_at is None else self._asked_at
        return asked_at + self._latency_s + 2 * self._deviation_s + step_s

    def round(self, seconds: float, num_tokens: int, plain_s: float, length: int) -> None:
        """Note one round of waiting for this drafter and verifying what came, if anything did."""
        self._round_s = mean(self._round_s or None, seconds, _NEWEST_ROUND)
        self._round_tokens = mean(self._round_tokens or None, num_tokens, _NEWEST_ROUND)
        self._num_rounds += 1
        if self.is_on_trial:
            return
        if self._round_s > _TOLERANCE * plain_s * self._round_tokens:
            self.rest(length)
        else:
            # Not all the way back at once: a bad drafter may have had luck in a probe.
            self._pause = max(_FIRST_PAUSE, self._pause // 2)


def mean(old: float | None, new: float, weight: float = _NEWEST) -> float:
    """Return the running mean after one more observation; `old` is None before the first."""
    return new if old is None else (1 - weight) * old + weight * new
