"""Every way in which a program's random numbers can fall, with its probability: no sampling.

`outcomes` runs a program once for each way. A number is an interval that each look at it narrows:
a coin splits it at the coin's probability, a draw at the sums of a distribution. A number that is
looked at twice is so dependent on itself, as the real one is.
"""

from collections.abc import Callable, Hashable
from itertools import accumulate
from typing import TypeVar

from tiercel.decoding import TokenDistribution

Result = TypeVar("Result", bound=Hashable)


class Chances:
    """One way through a program: it follows a tape, and goes the first way where that ends."""

    def __init__(self, tape: list[list[int]]) -> None:
        self.weight = 1.0
        self._tape, self._place = tape, 0
        self._intervals: dict[Hashable, tuple[float, float]] = {}

    def numbers(self, *names: Hashable) -> "Numbers":
        return Numbers(self, names)

    def cell(self, key: Hashable, bounds: list[float]) -> int:
        """Return which of the cells between ascending `bounds` the number lies in."""
        low, high = self._intervals.get(key, (0.0, 1.0))
        cuts = [low, *(min(max(bound, low), high) for bound in bounds), high]
        possible = [i for i in range(len(cuts) - 1) if cuts[i] < cuts[i + 1]]
        chosen = possible[self._way(len(possible))]
        self._intervals[key] = (cuts[chosen], cuts[chosen + 1])
        self.weight *= (cuts[chosen + 1] - cuts[chosen]) / (high - low)
        return chosen

    def _way(self, num_ways: int) -> int:
        if num_ways == 1:
            return 0
        if self._place == len(self._tape):
            self._tape.append([0, num_ways])
        self._place += 1
        return self._tape[self._place - 1][0]


class Numbers:
    """Stands for a `Randomness`: its numbers are cut as they are looked at."""

    def __init__(self, chances: Chances, names: tuple[Hashable, ...]) -> None:
        self._chances, self._names = chances, names

    def run(self, number: int) -> "Numbers":
        return Numbers(self._chances, (*self._names, number))

    def coin(self, index: int, prob: float) -> bool:
        return self._chances.cell((*self._names, index), [prob]) == 0

    def draw(self, index: int, distribution: TokenDistribution) -> int:
        sums = list(accumulate(distribution.shares.tolist()))
        bounds = [part / sums[-1] for part in sums[:-1]]
        place = self._chances.cell((*self._names, index), bounds)
        return int(distribution.token_ids[place])


def outcomes(program: Callable[[Chances], Result]) -> dict[Result, float]:
    """Return the probability of each result."""
    found: dict[Result, float] = {}
    tape: list[list[int]] = []
    while True:
        chances = Chances(tape)
        result = program(chances)
        found[result] = found.get(result, 0.0) + chances.weight
        while tape and tape[-1][0] + 1 == tape[-1][1]:
            tape.pop()
        if not tape:
            return found
        tape[-1][0] += 1


def variation(one: dict[Result, float], other: dict[Result, float]) -> float:
    """Return the total variation of two distributions over results."""
    keys = one.keys() | other.keys()
    return 0.5 * sum(abs(one.get(key, 0.0) - other.get(key, 0.0)) for key in keys)
