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

    With S_i(m) of level i, and T(l) = S_(i-1)(l) + step_s(l + 1) for a draft of l tokens,
    S_i(m) = round_trip_s + sum over l of D(l) (T(l) + sum over x of P(x tokens are committed)
    S_i(m - x)), where P(x) = a^(x-1) (1 - a) for x <= l and a^l for x = l + 1: arXiv:2211.17192,
    section 3, with runs that end. D(l) is `draft_lengths` of the min(length, m - 1) asked for.
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
    below = run_seconds(Chain(chain.draft_s, chain.levels[:-1], chain.lengths[:-1]), length)
    block_s, tokens = level.round_trip_s, 0.0
    for drafted, share in enumerate(draft_lengths(level, length)):
        block_s += share * (below[drafted] + level.step_s(drafted + 1))
        tokens += share * expected_tokens(level.acceptance_rate, drafted)
    return block_s / tokens


def draft_lengths(level: Level, asked: int) -> list[float]:
    """Return how likely a draft has 0, 1, ... `asked` tokens: each follows by the level's rates."""
    if asked == 0:
        return [1.0]
    first, more = level.start_rate, level.continue_rate
    ended = [first * more ** (length - 1) * (1 - more) for length in range(1, asked)]
    return [1 - first, *ended, first * more ** (asked - 1)]


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
    shares = [draft_lengths(level, asked) for asked in range(length + 1)]
    seconds = [0.0]
    for left in range(1, most + 1):
        asked = min(length, left - 1)
        spent = level.round_trip_s if asked else 0.0
        for drafted, share in enumerate(shares[asked]):
            if share:
                spent += share * _round_s(level, below[drafted], seconds, left, drafted)
        seconds.append(spent)
    return seconds


def _round_s(
    level: Level, drafted_s: float, seconds: Sequence[float], left: int, drafted: int
) -> float:
    """Return the seconds of a round with such a draft, and of all that follows it."""
    spent = drafted_s + level.step_s(drafted + 1)
    rate, chance = level.acceptance_rate, 1.0
    for committed in range(1, drafted + 1):
        spent += chance * (1 - rate) * seconds[left - committed]
        chance *= rate
    return spent + chance * seconds[left - drafted - 1]
