"""What to think of a drafter under a parent before enough of its tokens were judged there."""

from collections.abc import Iterator, Mapping

from services.feedback.cells import ALL_KINDS, Cell, Sums
from tiercel.routing.likeness import Likeness

# Positions at which two models were compared that say how alike they are.
_FEWEST_COMPARED = 20


class ColdStart:
    """Rates from how far two models' distributions lay apart, their own or a third tier's."""

    def __init__(self, cells: Mapping[Cell, Sums], rates: Mapping[tuple[str, str], float]) -> None:
        """Take all sums, and the rates of pairs (drafter, verifier) that have evidence enough."""
        self._cells, self._rates = cells, rates
        self._pairs = {
            (cell.subject[1], cell.subject[2]): sums
            for cell, sums in cells.items()
            if cell.subject[0] == "pair" and cell.kind == ALL_KINDS
        }
        self._likeness = Likeness()
        for pair, sums in self._pairs.items():
            if (distance := _distance(sums)) is not None:
                self._likeness.compared(*pair, distance)

    def untried(self) -> Iterator[Cell]:
        """Yield the pairs of a drafter and a verifier that were never seen together."""
        verifiers = dict.fromkeys(verifier for _, verifier in self._pairs)
        for drafter in dict.fromkeys(drafter for drafter, _ in self._pairs):
            for verifier in verifiers:
                if drafter != verifier and (drafter, verifier) not in self._pairs:
                    yield Cell.of_pair(drafter, verifier, ALL_KINDS)

    def rate(self, cell: Cell, prior_tokens: float) -> float | None:
        """Return the rate of a pair without evidence enough; None where nothing is known.

        How alike the two are counts for `prior_tokens` judged tokens, beside those that were.
        """
        sums = self._cells.get(cell, {})
        prior = self._prior(cell, sums)
        judged = prior_tokens + sums.get("accepted", 0.0) + sums.get("rejected", 0.0)
        if prior is None or not judged:
            return None
        return min(1.0, (prior_tokens * prior + sums.get("accepted", 0.0)) / judged)

    def draft_s(self, cell: Cell) -> float | None:
        """Return the seconds of a draft token; of the drafter elsewhere where it was not here."""
        drafter = cell.subject[1]
        elsewhere = [sums for (name, _), sums in self._pairs.items() if name == drafter]
        for known in ([self._cells.get(cell, {})], elsewhere):
            if tokens := sum(sums.get("draft_tokens", 0.0) for sums in known):
                return sum(sums.get("draft_s", 0.0) for sums in known) / tokens
        return None

    def _prior(self, cell: Cell, sums: Sums) -> float | None:
        """Return the acceptance that likeness gives; of a single kind, its own alone."""
        if cell.kind == ALL_KINDS:
            return self._likeness.acceptance(cell.subject[1], cell.subject[2], self._rates)
        alike, distance = Likeness(), _distance(sums)
        if distance is not None:
            alike.compared(cell.subject[1], cell.subject[2], distance)
        return alike.acceptance(cell.subject[1], cell.subject[2], {})


def _distance(sums: Sums) -> float | None:
    """Return the mean total variation; None where too little was compared."""
    compared = sums.get("compared", 0.0)
    return min(1.0, sums["variation"] / compared) if compared >= _FEWEST_COMPARED else None
