"""Which levels of strictness audits certify: a fixed sequence of tests, from strict to lenient.

Each level is looked at once, over its first `num_audits` audits, and the sequence ends at the first
that is not certified: the chance that it certifies any level with more harm than allowed is then at
most delta, without a price for their number (Angelopoulos et al., arXiv:2110.01052).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tiercel.errors import InvalidRequest
from tiercel.strictness.bounds import anytime_lower, clopper_pearson_upper, least_audits

MAX_LEVELS = 6


@dataclass(frozen=True)
class Standard:
    """What audits must show of a level."""

    epsilon: float = 0.05  # share of answers that may be harmed
    delta: float = 0.05  # chance to certify a rule for a kind of request wrongly
    levels: tuple[float, ...] = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
    audits_per_level: int = 0  # 0: the fewest that can do, all of which must then be clean
    run_length: float = 1e4  # audits until bets on more harm win wrongly, on average, at least

    def __post_init__(self) -> None:
        """Raise InvalidRequest for levels that are no sequence from strict to lenient."""
        falling = all(before > after for before, after in pairwise(self.levels))
        sound = 0 < len(self.levels) <= MAX_LEVELS and falling
        if not (sound and all(0 <= level < 1 for level in self.levels)):
            why = f"must fall, 1 to {MAX_LEVELS} of them, each in [0, 1)"
            raise InvalidRequest("strictness_levels", self.levels, why)

    @property
    def num_audits(self) -> int:
        """How many audits of a level decide it."""
        return max(self.audits_per_level, least_audits(self.epsilon, self.delta))

    def is_contradicted(self, audits: int, harmed: int, doubt: float) -> bool:
        """Return whether running audits show more harm than epsilon; one may look at every one.

        All together by their lower bound, or those of late by the `doubt` of `HarmBets`. Of n
        audits without more harm the chance to say so is at most delta + n / run_length.
        """
        if self.run_length and doubt >= self.run_length:
            return True
        # A lower bound lies below the observed share; that spares most of its computation.
        beyond = harmed > self.epsilon * audits
        return beyond and anytime_lower(harmed, audits, self.delta) > self.epsilon


@dataclass(frozen=True)
class LevelAudits:
    """What the audits of one level found."""

    audits: int = 0
    harmed: int = 0
    divergence: float = 0.0  # the sum over all audited answers


@dataclass(frozen=True)
class Certificate:
    """How far the sequence has come, for one rule and kind of request."""

    level: float | None = None  # the most lenient one that is certified
    target_divergence: float | None = None  # of that level's audited answers, on average
    next_level: float | None = None  # to be audited; None: the sequence has ended
    num_audits: int = 0  # of the level that came last
    num_harmed: int = 0

    @property
    def holds(self) -> bool:
        """Whether the sequence has ended with a certified level."""
        return self.level is not None and self.next_level is None


def in_sequence(found_at: Callable[[float], LevelAudits], standard: Standard) -> Certificate:
    """Return what audits certify; `found_at` gives those of a level."""
    certified, target = None, None
    found = LevelAudits()
    for level in standard.levels:
        found = found_at(level)
        # With as many harmed ones as there are, all further ones could be clean and not help.
        whole = max(found.audits, standard.num_audits)
        if clopper_pearson_upper(found.harmed, whole, standard.delta) > standard.epsilon:
            return Certificate(certified, target, None, found.audits, found.harmed)
        if found.audits < whole:
            return Certificate(certified, target, level, found.audits, found.harmed)
        certified, target = level, found.divergence / found.audits
    return Certificate(certified, target, None, found.audits, found.harmed)
