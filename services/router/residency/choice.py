"""Which models a machine's memory should hold: those that are worth most by the byte."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

# A model that is here stays unless another is worth so many times more: loading is not free.
_HYSTERESIS = 1.5


@dataclass(frozen=True)
class Holding:
    """The model of one replica."""

    name: str
    num_bytes: int  # above 0
    worth: float  # what would be lost if it were away, in any unit
    is_here: bool
    must_stay: bool = False  # it has work, or had some just now

    @property
    def density(self) -> float:
        """What a byte of it is worth."""
        return self.worth * (_HYSTERESIS if self.is_here else 1.0) / self.num_bytes


def to_hold(holdings: Sequence[Holding], max_bytes: int) -> set[str]:
    """Return the names of what should be here; of equals those that come first.

    Greedy by worth a byte, or the one model of most worth where that is more: at least half of the
    optimum of the knapsack. What must stay stays even if it is too much; what is not here and worth
    nothing is not fetched.
    """
    staying = [one for one in holdings if one.must_stay]
    room = max_bytes - _bytes(staying)
    free = [one for one in holdings if not one.must_stay and (one.is_here or one.worth > 0)]
    packed = _packed(sorted(free, key=lambda one: -one.density), room)
    fitting = [one for one in free if one.num_bytes <= room]
    single = max(fitting, key=lambda one: one.density * one.num_bytes, default=None)
    if single is not None and _gain([single]) > _gain(packed):
        packed = [single]
    return {one.name for one in (*staying, *packed)}


def _packed(holdings: Sequence[Holding], room: int) -> list[Holding]:
    taken = []
    for one in holdings:
        if one.num_bytes <= room:
            taken.append(one)
            room -= one.num_bytes
    return taken


def _gain(holdings: Collection[Holding]) -> float:
    return sum(one.density * one.num_bytes for one in holdings)


def _bytes(holdings: Collection[Holding]) -> int:
    return sum(one.num_bytes for one in holdings)
