"""The sums that events add up to, by cell: of a pair, a tier, a rule, a root; by kind of request.

Adding is all that happens to a cell, so that events may come in any order and from any replica.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tiercel.learning import Outcome
from tiercel.routing.answers import rated_as

ALL_KINDS = ""
_LASTING = ("level", "strictness", "pacing", "trial", "drift", "restart")
Sums = Mapping[str, float]


@dataclass(frozen=True)
class Cell:
    """What a number of events have in common, such as (pair, drafter, verifier)."""

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
    def of_speed(cls, tier: str, band: int) -> "Cell":
        """Return the cell of a tier's answers from so many open requests on."""
        return cls(("speed", tier, str(band)))

    @classmethod
    def of_rule(cls, rule: str, kind: str) -> "Cell":
        """Return the cell of answers under a lossy rule."""
        return cls(("rule", rule), kind)

    @classmethod
    def of_level(cls, rule: str, strictness: float, kind: str) -> "Cell":
        """Return the cell of audits at a strictness that was set to certify it."""
        return cls(("level", rule, f"{strictness:.3f}"), kind)

    @classmethod
    def of_strictness(cls, rule: str, kind: str) -> "Cell":
        """Return the cell of the strictness that follows a rule's divergence, and of its audits."""
        return cls(("strictness", rule), kind)

    @classmethod
    def of_quality(cls, root: str, kind: str) -> "Cell":
        """Return the cell of ratings of one root's answers."""
        return cls(("quality", root), kind)

    @classmethod
    def of_cost(cls) -> "Cell":
        """Return the cell of what answers cost of late."""
        return cls(("cost",))

    @classmethod
    def of_pacing(cls) -> "Cell":
        """Return the cell of the weight of cost that a budget leads."""
        return cls(("pacing",))

    @property
    def fades(self) -> bool:
        """Whether old events weigh less: a certificate counts audits, whenever they were."""
        return self.subject[0] not in _LASTING

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
    frozen: str | None = None  # why nothing is learned now; None: it is
    # Trials that are over, by policy and the one that it was to replace: why.
    ended: Mapping[tuple[str, str], str] = field(default_factory=dict)


def kinds_of(kind: str) -> list[str]:
    """Return what a request of a kind counts for: all kinds together, and its own."""
    return [ALL_KINDS] if kind == ALL_KINDS else [ALL_KINDS, kind]


def rated_cells(outcome: Outcome) -> list[Cell]:
    """Return the cells that ratings of an outcome's answer concern; none without a plan."""
    if outcome.plan is None or outcome.failure:
        return []
    return [Cell.of_quality(rated_as(outcome.plan), kind) for kind in kinds_of(outcome.kind)]


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
