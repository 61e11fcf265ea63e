"""How long an answer of a given length takes under a chain of tiers, down to its last token.

Expected values as in `chain_cost`, of which this is the refinement for runs that end: a tier that
is asked for so many tokens never goes beyond them, so the last blocks of each run are shorter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from tiercel.decoding.chain_cost import Level, expected_tokens


@dataclass(frozen=True)
class Chain:
    """Tiers that draft for each other: a lowest drafter, the levels above it, lowest first.

    Without levels the lowest drafter is all there is. `lengths[i]` is the block that level i asks
    for; 0 is plain decoding, whatever is below.
    """

    draft_s: float  # of the lowest drafter, for a token
    levels: tuple[Level, ...] = ()
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Beginning:
    """Seconds that pass before the root's first token; drafters start meanwhile."""

    prefill_s: float = 0.0  # of the root; its last pass gives the first token
    load_s: float = 0.0  # of a cold root
    queue_s: float = 0.0


def run_seconds(chain: Chain, num_tokens: int) -> list[float]:
    """Return the expected seconds of the chain's top for runs of 0 to `num_tokens` tokens.

    With S_i(m) of level i, and T(L) = S_(i-1)(L) + step_s(L + 1) + round_trip_s for a block of
    L = min(length, m - 1) tokens,
    S_i(m) = T(L) + sum over x of P(x tokens are committed) S_i(m - x), where P(x) = a^(x-1) (1 - a)
    for x <= L and a^L for x = L + 1: arXiv:2211.17192, section 3, with runs that end.
    """
    top = len(chain.levels) - 1
    below = [chain.draft_s * count for count in range(_most(chain, -1, num_tokens) + 1)]
    for place, (level, length) in enumerate(zip(chain.levels, chain.lengths, strict=True)):
        most = num_tokens if place == top else _most(chain, place, num_tokens)
        below = _level_seconds(level, length, below, most)
    return below


def seconds_per_token(chain: Chain) -> float:
    """Return the expected seconds of a token in an answer without end."""
    if not chain.levels:
        return chain.draft_s
    level, length = chain.levels[-1], chain.lengths[-1]
    if length == 0:
        return level.step_s(1)
    below = Chain(chain.draft_s, chain.levels[:-1], chain.lengths[:-1])
    block_s = run_seconds(below, length)[length] + level.step_s(length + 1) + level.round_trip_s
    return block_s / expected_tokens(level.acceptance_rate, length)


def predicted_seconds(chain: Chain, num_tokens: int, beginning: Beginning) -> float:
    """Return the expected seconds of an answer of `num_tokens` tokens, at least one."""
    started_s = beginning.queue_s + beginning.load_s + beginning.prefill_s
    return started_s + run_seconds(chain, num_tokens - 1)[num_tokens - 1]


def best_chain(draft_s: float, levels: Sequence[Level], limit: int) -> Chain:
    """Return the chain with the block lengths, each from 1 to `limit`, that make a token cheapest.

    All of them are tried: a level's best length depends on what the one above asks for.
    """
    lengths = product(range(1, limit + 1), repeat=len(levels))
    chains = (Chain(draft_s, tuple(levels), one) for one in lengths)
    return min(chains, key=seconds_per_token)


def _most(chain: Chain, place: int, num_tokens: int) -> int:
    """Return the longest run that is asked of a level, -1 being the lowest drafter."""
    above = place + 1
    return chain.lengths[above] if above < len(chain.lengths) else num_tokens


def _level_seconds(level: Level, length: int, below: Sequence[float], most: int) -> list[float]:
    seconds = [0.0]
    for left in range(1, most + 1):
        block = min(length, left - 1)
        spent = level.step_s(block + 1)
        if block:
            spent += below[block] + level.round_trip_s
        rate, chance = level.acceptance_rate, 1.0
        for committed in range(1, block + 1):
            spent += chance * (1 - rate) * seconds[left - committed]
            chance *= rate
        seconds.append(spent + chance * seconds[left - block - 1])
    return seconds
