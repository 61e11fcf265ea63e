"""Optimal stopping over finite states by backward induction, and the blind case of it.

A stage's number k counts from 0. Where one stands at stage k in a state, one stops for its reward,
or goes on to a later stage j for `cost_weight` times the seconds from k to j.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.errors import InvalidRequest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Move = tuple[int, int]
"""From a stage to a later one."""


@dataclass(frozen=True, eq=False)
class Programme:
    """A decision problem whose moves lead to later stages only; a move that is not named is not."""

    rewards: tuple[Floats, ...]  # of stopping, by stage: [num_states of it]
    transitions: Mapping[Move, Floats]  # [num_states of k, num_states of j], rows add up to 1
    seconds: Mapping[Move, float]  # infinite: never

    def __post_init__(self) -> None:
        for (stage, following), chances in self.transitions.items():
            shape = (len(self.rewards[stage]), len(self.rewards[following]))
            if following <= stage or chances.shape != shape:
                raise InvalidRequest("transitions", (stage, following), f"not of shape {shape}")
            if not np.allclose(chances.sum(axis=1), 1.0) or (chances < 0).any():
                raise InvalidRequest("transitions", (stage, following), "rows are no distributions")

    def moves_from(self, stage: int) -> list[int]:
        """Return the stages that may follow, at finite cost."""
        known = [following for at, following in self.transitions if at == stage]
        return sorted(each for each in known if np.isfinite(self.seconds[stage, each]))


@dataclass(frozen=True, eq=False)
class Solution:
    """What each state is worth under the best decisions, and these decisions."""

    values: tuple[Floats, ...]  # by stage: [num_states]
    choices: tuple[Ints, ...]  # the stage that follows, or the same stage: stop


def solve(programme: Programme, cost_weight: float) -> Solution:
    """Return the optimum: V_k = max(reward_k, max over j of E[V_j] - cost_weight * seconds_kj).

    It stops where going on is worth no more. Raises InvalidRequest for a weight below 0.
    """
    check_weight(cost_weight)
    values = [reward.astype(np.float64) for reward in programme.rewards]
    choices = [np.full(len(reward), k, np.int64) for k, reward in enumerate(programme.rewards)]
    for stage in reversed(range(len(values))):
        for following in programme.moves_from(stage):
            price = cost_weight * programme.seconds[stage, following]
            onward = programme.transitions[stage, following] @ values[following] - price
            better = onward > values[stage]
            values[stage] = np.where(better, onward, values[stage])
            choices[stage] = np.where(better, following, choices[stage])
    return Solution(tuple(values), tuple(choices))


def check_weight(cost_weight: float) -> None:
    """Raise InvalidRequest unless the weight is a price: finite, 0 or more."""
    if not (np.isfinite(cost_weight) and cost_weight >= 0):
        raise InvalidRequest("cost_weight", cost_weight, "must be a finite number, 0 or more")


def in_order(seconds: Sequence[float]) -> Floats:
    """Return the table of costs where stages run one after another and none is left out.

    `seconds[k]` is what stage k adds to those before it. The table has the shape
    [num_stages + 1, num_stages]: row 0 is the cost from nothing, row k + 1 that after stage k.
    """
    count = len(seconds)
    table = np.full((count + 1, count), np.inf)
    table[0] = seconds
    for stage in range(1, count):
        table[stage, stage] = seconds[stage]
    return table


def blind(qualities: ArrayLike, seconds: Floats, *, recall: bool) -> Programme:
    """Return the programme of known qualities and no evidence.

    `seconds` is a table as of `in_order`. A state is the stage whose answer is kept: with `recall`
    the best so far, else the last one.
    """
    known = np.asarray(qualities, np.float64)
    count = len(known)
    transitions = {}
    for stage in range(count):
        for following in range(stage + 1, count):
            chances = np.zeros((stage + 1, following + 1))
            for kept in range(stage + 1):
                keeps = recall and known[kept] >= known[following]
                chances[kept, kept if keeps else following] = 1.0
            transitions[stage, following] = chances
    costs = {
        (stage, following): float(seconds[stage + 1, following]) for stage, following in transitions
    }
    return Programme(tuple(known[: stage + 1] for stage in range(count)), transitions, costs)


def blind_stage(
    qualities: ArrayLike, seconds: Floats, cost_weight: float, *, recall: bool = True
) -> int:
    """Return the stage where the best programme without evidence stops that begins at stage 0."""
    programme = blind(qualities, seconds, recall=recall)
    choices = solve(programme, cost_weight).choices
    stage, kept = 0, 0
    while (following := int(choices[stage][kept])) != stage:
        kept = int(np.argmax(programme.transitions[stage, following][kept]))
        stage = following
    return stage
