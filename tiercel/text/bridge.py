"""The vocabulary bridge: one generated text in the tokens of two tokenizers.

A drafter is told the parent's text in its own tokens, and its draft comes back in the parent's.
The bytes are what both have in common: what a drafter was told is, byte for byte, the beginning
of what the parent generated. So the two count the same offsets, and noise that is keyed by offset
and bytes stays coupled.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tiercel.text.intersection import Intersection
from tiercel.text.segments import Segment, SegmentedText
from tiercel.text.translation import Translated, Vocabulary, translate


@dataclass(frozen=True)
class Told:
    """How the drafter's sequence changes: it is cut to `keep_length`, then grows."""

    keep_length: int
    token_ids: tuple[int, ...]


class Bridge:
    """Follows a generated text in both vocabularies; lengths count from the text's beginning.

    The drafter's own tokens are kept as it drafted them where the parent's text agrees. All else
    it is told as its tokenizer spells it. At the end of the text some bytes may have to wait:
    those of an unfinished character, those that a draft token covers which goes beyond the text,
    and everything behind bytes that the drafter's vocabulary cannot spell.
    """

    def __init__(
        self, parent: Vocabulary, drafter: Vocabulary, shared: Intersection | None = None
    ) -> None:
        """With what both have in common, `shared`, drafts are translated token by token."""
        self._parent, self._drafter, self._shared = parent, drafter, shared
        self._text = SegmentedText()
        self._parent_ends: list[int] = []  # offset behind each of the parent's tokens
        self._told: list[int] = []
        self._told_ends: list[int] = []
        # Of what a call found: how much stands, and the tokens after that, the last one first.
        self._standing, self._dropped = 0, list[int]()

    @property
    def num_parent_tokens(self) -> int:
        """Tokens of the parent's that the text consists of."""
        return len(self._parent_ends)

    @property
    def told(self) -> list[int]:
        """The drafter's tokens for what it was told."""
        return list(self._told)

    @property
    def pending(self) -> bytes:
        """The end of the text that the drafter was not told yet."""
        return self._text.between(self._told_length)

    def append(self, token_ids: Iterable[int], run: Sequence[int] = ()) -> Told:
        """Add tokens of the parent's; `run` is what the drafter drafted after what it was told."""
        for token_id in token_ids:
            self._text.append(
                self._parent.token_bytes(token_id), is_special=self._parent.is_special(token_id)
            )
            self._parent_ends.append(len(self._text))
        self._tell(run)
        return self._change()

    def cut(self, length: int) -> Told:
        """Keep the first `length` tokens of the parent's."""
        del self._parent_ends[length:]
        end = self._parent_ends[-1] if self._parent_ends else 0
        self._text.cut(end)
        self._forget(min(end, self._text.segment_start(max(0, end - 1))))
        self._tell(())
        return self._change()

    def draft(self, run: Sequence[int]) -> Translated:
        """Return the parent's tokens for what the drafter drafted after what it was told."""
        if self._shared is not None:
            return self._shared.translate(run, known=self.pending)
        return translate(run, self._drafter, self._parent, known=self.pending)

    def num_within(self, run: Sequence[int], draft: Sequence[int]) -> int:
        """Return how many tokens of a run say no more than these of its draft do."""
        length = len(self.pending) + sum(len(self._parent.token_bytes(id)) for id in draft)
        ends = accumulate(len(self._drafter.token_bytes(id)) for id in run)
        return bisect_right(list(ends), length)

    @property
    def _told_length(self) -> int:
        return self._told_ends[-1] if self._told_ends else 0

    def _tell(self, run: Sequence[int]) -> None:
        """Bring what the drafter was told up to the text."""
        for token_id in run:
            if not self._continues(token_id):
                break
            if self._told_length + len(self._drafter.token_bytes(token_id)) > len(self._text):
                return  # the token goes beyond the text: whether it is right is still open
            self._add(token_id)
        end = self._text.complete_length
        if self._told_length < end:
            self._forget(self._text.segment_start(self._told_length))
            for segment in self._text.segments(self._told_length, end):
                if not self._spell(segment):
                    return

    def _continues(self, token_id: int) -> bool:
        """Return whether a token of the drafter's agrees with the text, as far as that goes."""
        start, data = self._told_length, self._drafter.token_bytes(token_id)
        if not data or start >= len(self._text):
            return False
        end = start + len(data)
        if self._drafter.is_special(token_id):
            agrees = self._text.special_end(start) == end
        else:
            agrees = not self._text.has_special(start, end)
        return agrees and data.startswith(self._text.between(start, end))

    def _spell(self, segment: Segment) -> bool:
        """Tell a segment; return whether the drafter has tokens for it."""
        data = self._text.between(segment.start, segment.end)
        special = self._drafter.special_id(data) if segment.is_special else None
        token_ids = self._drafter.spell(data) if special is None else [special]
        for token_id in token_ids or ():
            self._add(token_id)
        return token_ids is not None

    def _add(self, token_id: int) -> None:
        self._told.append(token_id)
        self._told_ends.append(self._told_length + len(self._drafter.token_bytes(token_id)))

    def _forget(self, offset: int) -> None:
        """Drop what was told of the text from `offset` on, and a token that lies across it."""
        while self._told_length > offset:
            token_id = self._told.pop()
            self._told_ends.pop()
            if len(self._told) < self._standing:
                self._standing = len(self._told)
                self._dropped.append(token_id)

    def _change(self) -> Told:
        """Return what the call that ends changed."""
        keep = self._standing
        while self._dropped and self._told[keep : keep + 1] == [self._dropped.pop()]:
            keep += 1
        self._standing, self._dropped = len(self._told), []
        return Told(keep, tuple(self._told[keep:]))
