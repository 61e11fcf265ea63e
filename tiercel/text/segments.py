"""Generated text as bytes, cut into segments that a tokenizer may spell one by one."""

from collections.abc import Iterator
from dataclasses import dataclass

# A longer run without a place to cut at, of Chinese say, is cut where it is this long, in bytes.
_LONGEST = 128


@dataclass(frozen=True)
class Segment:
    """A piece of the text, or the literal text of one special token."""

    start: int  # in bytes, as all offsets are
    end: int
    is_special: bool


class SegmentedText:
    """A growing text in which special tokens stand by their literal text, marked as such.

    Where segments begin is a function of the bytes alone, and what follows changes only the last
    one. The splitting patterns of byte-level BPE cut there too, so that a text spelled segment by
    segment is spelled as it would be as a whole.
    """

    def __init__(self, data: bytes = b"") -> None:
        self._bytes = bytearray()
        self._specials: dict[int, int] = {}  # where special tokens start, in order, and their ends
        self._starts: list[int] = []  # of segments
        self.append(data)

    def __len__(self) -> int:
        return len(self._bytes)

    def append(self, data: bytes, *, is_special: bool = False) -> None:
        """Add text, or the literal text of a special token."""
        length = len(self._bytes)
        if is_special and data:
            self._specials[length] = length + len(data)
        self._bytes += data
        self._scan(length)

    def cut(self, length: int) -> None:
        """Drop everything from byte `length` on; no special token may lie across it."""
        del self._bytes[length:]
        while self._specials and next(reversed(self._specials.values())) > length:
            self._specials.popitem()
        self._scan(length)

    def between(self, start: int, end: int | None = None) -> bytes:
        """Return the bytes in [start, end)."""
        return bytes(self._bytes[start:end])

    def special_end(self, start: int) -> int | None:
        """Return where the special token ends that starts here; None if none does."""
        return self._specials.get(start)

    def has_special(self, start: int, end: int) -> bool:
        """Return whether any byte in [start, end) belongs to a special token."""
        for first, last in reversed(self._specials.items()):
            if last <= start:
                return False
            if first < end:
                return True
        return False

    @property
    def complete_length(self) -> int:
        """Length without the bytes of an unfinished character at the end."""
        length = len(self._bytes)
        if self.has_special(length - 1, length):
            return length
        for back in range(1, min(3, length) + 1):
            byte = self._bytes[length - back]
            if byte & 0xC0 != 0x80:  # it begins a character
                return length - back if _num_bytes(byte) > back else length
        return length

    def segment_start(self, offset: int) -> int:
        """Return where the segment begins that holds the byte at `offset`."""
        return next((start for start in reversed(self._starts) if start <= offset), 0)

    def segments(self, start: int, end: int) -> Iterator[Segment]:
        """Yield what lies in [start, end), cut where segments begin."""
        inner = [place for place in self._starts if start < place < end]
        for first, last in zip([start, *inner], [*inner, end], strict=True):
            if first < last:
                yield Segment(first, last, self._specials.get(first) == last)

    def _scan(self, length: int) -> None:
        """Note where segments begin, of a text of which the first `length` bytes are as before."""
        place = max(0, length - 1)  # whether one begins at a byte depends on the next one, too
        while self._starts and self._starts[-1] >= place:
            self._starts.pop()
        if self._starts:
            place = max(place, self._specials.get(self._starts[-1], 0))
        while place < len(self._bytes):
            if place in self._specials or self._is_start(place):
                self._starts.append(place)
            place = self._specials.get(place, place + 1)

    def _is_start(self, place: int) -> bool:
        if not self._starts or place == self._specials.get(self._starts[-1]):
            return True
        before, here = self._bytes[place - 1], self._bytes[place]
        if place - self._starts[-1] >= _LONGEST and here & 0xC0 != 0x80:
            return True
        if _is_alphanumeric(before):
            return here < 0x80 and not _is_alphanumeric(here)
        if before >= 0x80 and here == 0x20:
            after = self._bytes[place + 1 : place + 2]
            return bool(after) and not after.isspace()
        return False


def _is_alphanumeric(byte: int) -> bool:
    return byte < 0x80 and chr(byte).isalnum()


def _num_bytes(first: int) -> int:
    """Return how many bytes the character has that begins with `first`."""
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
