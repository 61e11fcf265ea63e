"""The passes of lossless speculative decoding over an answer that is known: counted, not estimated.

A drafter changes no token of the answer. So where its own choice, after what stands before, is
the answer's token, the draft stands, and block by block what both tiers did can be told.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NUM_PLAIN = 2
"""Tokens that a tier decodes by itself first, as the services do: the prompt's last row gives one,
and the next says what plain decoding takes."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Blocks:
    """What two tiers did after the prompt: passes by their width, and what became of drafts."""

    root: Counter[int] = field(default_factory=Counter)
    drafter: Counter[int] = field(default_factory=Counter)
    num_blocks: int = 0
    num_drafted: int = 0
    num_accepted: int = 0


def replayed(
    matches: Flags,
    num_speculative_tokens: int,
    *,
    said: Flags | None = None,
    max_new_tokens: int | None = None,
) -> Blocks:
    """Return what decoding an answer of len(matches) tokens takes with a drafter.

    `matches` says of each token whether it is the drafter's choice there, `said` whether it chose
    any: where it did not, a block ends. `max_new_tokens` is what the request allowed, by default
    any number. A drafter that comes to the answer's end ends its block there; one that is wrong
    before it drafts a whole block.
    """
    length = len(matches)
    root, drafter = Counter[int](), Counter[int]()
    position = min(NUM_PLAIN, length)
    root[1] += max(0, position - 1)
    num_blocks = num_drafted = num_accepted = read = 0  # tokens that the drafter has read
    while position < length:
        most = num_speculative_tokens
        if max_new_tokens is not None:
            most = min(most, max_new_tokens - position - 1)
        stands = _leading(matches[position : position + most])
        drafted = _drafted(position, stands, most, length, said)
        root[1 + drafted] += 1
        if drafted:
            drafter[position - read] += 1
            drafter[1] += drafted - 1
            read = position + min(drafted - 1, stands)
            num_blocks += 1
        num_drafted += drafted
        num_accepted += stands
        position += min(stands + 1, length - position)
    return Blocks(+root, +drafter, num_blocks, num_drafted, num_accepted)


def _drafted(position: int, stands: int, most: int, length: int, said: Flags | None) -> int:
    """Return the length of a block of which so many tokens stand."""
    if position + stands == length:
        return stands  # its last token ends the answer, and the drafter knew
    if said is None:
        return max(0, most)
    # What stands was said; behind the first wrong token nothing is known.
    place = position + stands
    return stands if place < length and not said[place] else max(0, most)


def _leading(flags: Flags) -> int:
    wrong = np.flatnonzero(~flags)
    return int(wrong[0]) if len(wrong) else len(flags)
