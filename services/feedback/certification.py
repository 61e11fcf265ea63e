"""Which levels of strictness audits certify: a fixed sequence of tests, from strict to lenient.

Each level is looked at once, over its first `num_audits` audits, and the sequence ends at the first
that is not certified: the chance that it certifies any level with more harm than allowed is then at
most delta, without a price for their number (Angelopoulos et al., arXiv:2110.01052).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from services.feedback.bounds import clopper_pearson_upper, least_audits
from services.feedback.cells import Cell, Sums
from tiercel.errors import InvalidRequest

MAX_LEVELS = 6


@dataclass(frozen=True)
class Standard:
    """What audits must show of a level."""

    epsilon: float = 0.05  # share of answers that may be harmed
    delta: float = 0.05  # chance to certify a rule for a kind of request wrongly
    levels: tuple[float, ...] = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
    audits_per_level: int = 0  # 0: the fewest that can do, all of which must then be clean

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


def certify(cells: Mapping[Cell, Sums], rule: str, kind: str, standard: Standard) -> Certificate:
    """Return what the audits of a rule's levels certify for a kind."""
    certified, target = None, None
    audits = harmed = 0
    for level in standard.levels:
        sums = cells.get(Cell.of_level(rule, level, kind), {})
        audits, harmed = round(sums.get("audits", 0.0)), round(sums.get("harmed", 0.0))
        # With as many harmed ones as there are, all further ones could be clean and not help.
        whole = max(audits, standard.num_audits)
        if clopper_pearson_upper(harmed, whole, standard.delta) > standard.epsilon:
            return Certificate(certified, target, None, audits, harmed)
        if audits < whole:
            return Certificate(certified, target, level, audits, harmed)
        certified, target = level, sums["divergence"] / audits
    return Certificate(certified, target, None, audits, harmed)
