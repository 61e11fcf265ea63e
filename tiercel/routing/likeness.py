"""How alike the tiers are, as far as any of their tokens were ever compared.

SpecRouter's SimScore (arXiv:2505.07680), as a prior for pairs that were never tried.
"""

from collections.abc import Mapping

# A comparison moves what is known by so much.
_NEWEST = 0.1


class Likeness:
    """Running means of 1 - total variation, and what follows from them for other pairs."""

    def __init__(self) -> None:
        self._alike: dict[frozenset[str], float] = {}

    def compared(self, one: str, other: str, total_variation: float) -> None:
        """Take in the mean distance of two tiers' distributions over some tokens, in [0, 1]."""
        pair, seen = frozenset((one, other)), 1.0 - total_variation
        known = self._alike.get(pair, seen)
        self._alike[pair] = known + _NEWEST * (seen - known)

    def acceptance(
        self, drafter: str, verifier: str, tried: Mapping[tuple[str, str], float]
    ) -> float | None:
        """Return a lower bound of the rate at which the verifier accepts; None if nothing is known.

        Where the two were compared: (1 - d) / (1 + d) for a total variation d, what coupled draws
        agree in at least (arXiv:2408.07978). If not, by way of a third tier x: coupled draws differ
        no more often than both do from x's, so a(drafter, verifier) >= a(drafter, x) +
        a(x, verifier) - 1. `tried` holds known rates by (drafter, verifier).
        """
        direct = self._rate(drafter, verifier, tried)
        if direct is not None:
            return direct
        others = {name for pair in tried for name in pair}.union(*self._alike)
        chained = [
            max(0.0, first + second - 1.0)
            for other in others - {drafter, verifier}
            if (first := self._rate(drafter, other, tried)) is not None
            and (second := self._rate(other, verifier, tried)) is not None
        ]
        return max(chained, default=None)

    def _rate(self, one: str, other: str, tried: Mapping[tuple[str, str], float]) -> float | None:
        for pair in ((one, other), (other, one)):
            if pair in tried:
                return tried[pair]
        alike = self._alike.get(frozenset((one, other)))
        return None if alike is None else alike / (2.0 - alike)
