"""What a token costs when tiers draft for each other, and how long a block is best.

Expected values from acceptance rates and step times (arXiv:2211.17192, section 3, with a network
round trip added, and its recursion over levels). Knows no plan, stream or statistics.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

StepTime = Callable[[int], float]
"""Seconds of one forward pass over so many tokens."""


@dataclass(frozen=True)
class Level:
    """A verifying tier of a chain, with the tier below as its drafter."""

    step_s: StepTime
    acceptance_rate: (
        float  # in [0, 1], of tokens of the level below; independent of what is under it
    )
    round_trip_s: float = 0.0  # to the level below, once a block
    # A look-up often has nothing to propose: how often it has a first token, and then one more.
    start_rate: float = 1.0
    continue_rate: float = 1.0


@dataclass(frozen=True)
class Schedule:
    """The best block lengths of a chain, lowest level first, and what they give."""

    num_speculative_tokens: tuple[int, ...]
    cost_per_token_s: float


def expected_tokens(acceptance_rate: float, num_speculative_tokens: int) -> float:
    """Return the tokens committed per block, recovered or bonus token included.

    1 + a + a^2 + ... + a^n for acceptance rate a (arXiv:2211.17192, equation 1), summed, so that
    a rate of 1 needs no case of its own.
    """
    return sum(acceptance_rate**i for i in range(num_speculative_tokens + 1))


def cost_per_token(level: Level, draft_s: float, num_speculative_tokens: int) -> float:
    """Return seconds per token of `level` when each draft token costs `draft_s` seconds.

    (n * draft_s + step_s(n + 1) + round_trip_s) / expected_tokens(n), as in arXiv:2211.17192,
    theorem 3.8, with the round trip. Zero draft tokens is plain decoding: no round trip.
    """
    if num_speculative_tokens == 0:
        return level.step_s(1)
    block_s = (
        num_speculative_tokens * draft_s
        + level.step_s(num_speculative_tokens + 1)
        + level.round_trip_s
    )
    return block_s / expected_tokens(level.acceptance_rate, num_speculative_tokens)


def best_num_speculative_tokens(level: Level, draft_s: float, limit: int) -> int:
    """Return the block length from 0 to `limit` of least cost per token; the shorter of equals."""
    return min(range(limit + 1), key=lambda length: cost_per_token(level, draft_s, length))


def draft_confidence(level: Level, draft_s: float, length: int) -> float:
    """Return the likelihood below which a drafter had better end its block.

    One more draft token pays if it is accepted more often than its own cost (drafting it, and a
    pass wider by one) over the cost of a token at the best block length. A drafter's doubt says
    less the more often it is right, so the bound fades with the share of rejections: a drafter
    that always agrees is never stopped.
    """
    if length == 0:
        return 0.0
    one_more_s = draft_s + level.step_s(length + 1) - level.step_s(length)
    break_even = one_more_s / max(cost_per_token(level, draft_s, length), 1e-12)
    return min(1.0, max(0.0, break_even)) * (1.0 - level.acceptance_rate)


def chain_cost(draft_s: float, levels: Sequence[Level], lengths: Sequence[int]) -> float:
    """Return seconds per token of a chain: `levels` over a lowest drafter, lowest level first.

    `draft_s` is the lowest drafter's cost per token, `lengths[i]` the block that level i asks
    for. When every level verifies exactly, its tokens are its own model's whatever is below, so
    costs nest: what level i pays for a draft token is the cost per token of level i - 1.
    """
    for level, length in zip(levels, lengths, strict=True):
        draft_s = cost_per_token(level, draft_s, length)
    return draft_s


def best_schedule(draft_s: float, levels: Sequence[Level], limit: int) -> Schedule:
    """Return the block lengths, each at most `limit`, of least cost per token for a chain.

    Level by level from the lowest: a level's cost only grows with that of the level below, so
    the best of each is the best of all.
    """
    lengths: list[int] = []
    for level in levels:
        lengths.append(best_num_speculative_tokens(level, draft_s, limit))
        draft_s = cost_per_token(level, draft_s, lengths[-1])
    return Schedule(tuple(lengths), draft_s)
