"""What is to become of draft tokens, worked out from plain lists of whole sequences."""

from collections.abc import Sequence

from tiercel.draft_stream import BlockFate, Judgement


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences share before they differ or one ends."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )


def judged(drafted: Sequence[int], committed: Sequence[int]) -> Judgement | None:
    """What is to be said of drafted tokens in whose place others were committed."""
    overlap = min(len(drafted), len(committed))
    accepted = common(drafted, committed)
    if not overlap:
        return None
    if accepted == overlap:
        return Judgement(overlap, accepted, 0)
    return Judgement(len(drafted), accepted, 1)


def fate_of(whole: Sequence[int], known: Sequence[int]) -> BlockFate:
    """What a block that makes the sequence `whole` is to a parent that knows `known` already."""
    if common(whole, known) < min(len(whole), len(known)):
        return BlockFate.WRONG
    return BlockFate.NEW if len(whole) > len(known) else BlockFate.NOTHING
