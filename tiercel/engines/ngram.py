"""Guesses the next token from the last few: what the target itself said after them before.

A back-off table: the longest context that it holds answers. It is built by `tiercel distill
ngram`; here it is only read.
"""

from collections.abc import Sequence
from pathlib import Path

from tiercel.engines.guesses import Guess
from tiercel.engines.ngram_file import key_of, mapped, place_of


class NgramTable:
    """A table on disk, mapped; one for any number of sessions."""

    def __init__(self, path: Path) -> None:
        """Map the file; raises ModelUnavailable for one that is damaged or no table."""
        self.header, arrays = mapped(path)
        # Elements of a memoryview are ints, at a tenth of the price of numpy's scalars.
        self._offsets, self._marks = arrays.offsets.data, arrays.marks.data
        self._tokens, self._confidences = arrays.tokens.data, arrays.confidences.data
        self._num_buckets = len(arrays.offsets) - 1

    def __len__(self) -> int:
        """Return the number of contexts."""
        return len(self._tokens)

    def guess(self, tokens: Sequence[int]) -> Guess | None:
        """Return what follows the longest known context at the end of `tokens`, if one is known."""
        key, keys = 0, []
        for token in reversed(tokens[-self.header.max_order :]):
            key = key_of(key, token)
            keys.append(key)
        for key in reversed(keys):
            entry = self._entry(key)
            if entry is not None:
                return Guess(self._tokens[entry], self._confidences[entry] / 255)
        return None

    def _entry(self, key: int) -> int | None:
        bucket, mark = place_of(key, self._num_buckets)
        marks = self._marks
        for entry in range(self._offsets[bucket], self._offsets[bucket + 1]):
            if marks[entry] == mark:
                return entry
        return None


class NgramSource:
    """The tokens of one session, and what a table says may follow them."""

    name = "ngram"

    def __init__(self, table: NgramTable) -> None:
        """Guess from `table`."""
        self._table = table
        self._tokens: list[int] = []

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens behind the session's last."""
        self._tokens += tokens

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on."""
        del self._tokens[length:]

    def guess(self) -> Guess | None:
        """Return what the table says, None where it has nothing to say."""
        return self._table.guess(self._tokens)
