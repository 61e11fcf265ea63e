"""The sums that outcomes add up to, by cell: one for each pair and each tier, by kind of request.

Adding is all that happens to a cell, so that events may come in any order and from any replica.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tiercel.learning import Outcome
from tiercel.types import PairStats, TierStats

ALL_KINDS = ""
Sums = Mapping[str, float]


@dataclass(frozen=True)
class Cell:
    """What a number of outcomes have in common: (pair, drafter, verifier) or (tier, name)."""

    subject: tuple[str, ...]
    kind: str = ALL_KINDS

    @property
    def name(self) -> str:
        """The cell's name in the store."""
        return json.dumps([*self.subject, self.kind], separators=(",", ":"))

    @classmethod
    def of_pair(cls, drafter: str, verifier: str, kind: str) -> "Cell":
        """Return the cell of a drafter under a parent."""
        return cls(("pair", drafter, verifier), kind)

    @classmethod
    def of_tier(cls, tier: str, kind: str) -> "Cell":
        """Return the cell of a tier's own passes."""
        return cls(("tier", tier), kind)

    @classmethod
    def named(cls, name: str) -> "Cell":
        """Return the cell of a name; raises ValueError if it is none."""
        parts = json.loads(name)
        if not (isinstance(parts, list) and all(isinstance(part, str) for part in parts)):
            raise ValueError(name)
        return cls(tuple(parts[:-1]), parts[-1])


@dataclass(frozen=True)
class Snapshot:
    """All cells at one version, every sum faded to the time of the newest event.

    Faded to that time and not to the reader's: a version then means the same to all who read it,
    and a system at rest forgets nothing.
    """

    epoch: str
    version: int
    cells: Mapping[Cell, Sums] = field(default_factory=dict)


def deltas(outcome: Outcome) -> Iterator[tuple[Cell, Sums]]:
    """Yield what an outcome adds to which cell, those of all kinds first."""
    kinds = [ALL_KINDS] if outcome.kind == ALL_KINDS else [ALL_KINDS, outcome.kind]
    for kind in kinds:
        for pair in outcome.usage.pairs:
            yield Cell.of_pair(pair.drafter, pair.verifier, kind), _pair_sums(pair)
        for tier in outcome.usage.tiers:
            if tier.num_forward_passes:
                yield Cell.of_tier(tier.tier, kind), _tier_sums(tier, outcome.usage.pairs)


def faded(text: str, *, at_ms: float, half_life_s: float) -> Sums | None:
    """Return the sums that the store keeps as `text`, faded to `at_ms`; None if it is garbage."""
    words = text.split()
    try:
        sums = {name: float(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    except ValueError:
        return None
    if "at" not in sums or not all(math.isfinite(value) for value in sums.values()):
        return None
    age_s = max(0.0, at_ms - sums.pop("at")) / 1000
    kept = 0.5 ** (age_s / half_life_s)
    return {name: value * kept for name, value in sums.items()}


def _pair_sums(pair: PairStats) -> Sums:
    alike = {"compared": pair.num_compared, "variation": pair.total_variation}
    return (alike if pair.num_compared else {}) | {
        "accepted": pair.num_accepted_tokens,
        "rejected": pair.num_rejected_tokens,
        "drafts": pair.num_drafts,
        "draft_tokens": pair.num_draft_tokens,
        "draft_s": pair.draft_compute_s,
        "late": pair.num_late,
    }


def _tier_sums(tier: TierStats, pairs: tuple[PairStats, ...]) -> Sums:
    """Return the sums of a least-squares line: seconds of a pass over its width in tokens.

    Only the mean width and time of a request are known; each weighs as many passes as it had.
    """
    passes = tier.num_forward_passes
    drafted = sum(pair.num_draft_tokens for pair in pairs if pair.verifier == tier.tier)
    width = 1 + drafted / passes
    return {
        "passes": passes,
        "pass_s": tier.compute_s,
        "width": passes * width,
        "width_squared": passes * width**2,
        "width_s": width * tier.compute_s,
    }
