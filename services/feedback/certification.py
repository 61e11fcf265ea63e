"""What the cells' audits certify; `tiercel/strictness` has the sequence of tests itself."""

from collections.abc import Mapping

from services.feedback.cells import Cell, Sums
from tiercel.strictness.certification import Certificate, LevelAudits, Standard, in_sequence


def certify(cells: Mapping[Cell, Sums], rule: str, kind: str, standard: Standard) -> Certificate:
    """Return what the audits of a rule's levels certify for a kind."""

    def found_at(level: float) -> LevelAudits:
        sums = cells.get(Cell.of_level(rule, level, kind), {})
        audits, harmed = round(sums.get("audits", 0.0)), round(sums.get("harmed", 0.0))
        return LevelAudits(audits, harmed, sums.get("divergence", 0.0))

    return in_sequence(found_at, standard)
