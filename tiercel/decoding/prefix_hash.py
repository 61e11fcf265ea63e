"""A rolling 64-bit hash of a token prefix, by which two ends of a stream see that they agree.

It guards against mistakes, not against an adversary. Same value on every machine.
"""

from collections.abc import Iterable

from tiercel.decoding.mixing import GOLDEN, mix

EMPTY = mix(GOLDEN)
"""The hash of no tokens."""

_MULTIPLIER = 0xD1342543DE82EF95  # odd, so that a step loses nothing of the hash before it


def extend(prefix_hash: int, token_id: int) -> int:
    """Return the hash of a prefix with one more token; `prefix_hash` is that of the prefix."""
    return mix(prefix_hash * _MULTIPLIER + token_id + 1)


def of(token_ids: Iterable[int]) -> int:
    """Return the hash of a whole prefix."""
    prefix_hash = EMPTY
    for token_id in token_ids:
        prefix_hash = extend(prefix_hash, token_id)
    return prefix_hash
