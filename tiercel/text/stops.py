"""Finds stop strings in text that comes in pieces, and lets out only what cannot be one."""

from collections.abc import Sequence

from tiercel.errors import InvalidRequest


class StopMatcher:
    """Ends a text just before the first of several stop strings.

    Characters are read in order. The first at which a stop string is complete ends the text;
    of several complete at that character the longest counts, which is the one that starts first.
    How the text is cut into pieces makes no difference.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        if "" in strings:
            raise InvalidRequest("stop", "", "a stop string must not be empty")
        self._progress = [_Progress(string) for string in strings]
        self._held = ""  # text that may be the start of a stop string
        self._hit = False
        self.matched = ""  # the stop string that ended the text

    def push(self, text: str) -> tuple[str, bool]:
        """Return the text that may be shown now, and whether a stop string was found.

        After a hit all further text is dropped.
        """
        if self._hit:
            return "", True
        for index, character in enumerate(text):
            if stop_length := self._read(character):
                self._hit = True
                self.matched = (self._held + text[: index + 1])[-stop_length:]
                return self._release(text[: index + 1], stop_length), True
        return self._release(text, max((each.length for each in self._progress), default=0)), False

    def flush(self) -> str:
        """Return what is still held back; the text has ended without a stop string."""
        for each in self._progress:
            each.length = 0
        held, self._held = self._held, ""
        return held

    def _read(self, character: str) -> int:
        """Return the length of the longest stop string that `character` completes, or 0."""
        return max((each.read(character) for each in self._progress), default=0)

    def _release(self, text: str, keep: int) -> str:
        """Add `text` to what is held; keep its last `keep` characters, return the others."""
        whole = self._held + text
        cut = len(whole) - keep
        self._held = "" if self._hit else whole[cut:]
        return whole[:cut]


class _Progress:
    """How much of one stop string the text now ends with (Knuth, Morris, Pratt 1977)."""

    def __init__(self, string: str) -> None:
        self._string = string
        self._fallbacks = [0]  # [n]: the longest start of the string that its first n + 1 end with
        for character in string[1:]:
            self._fallbacks.append(self._next(self._fallbacks[-1], character))
        self.length = 0

    def read(self, character: str) -> int:
        """Return the string's length when `character` completes it, or 0."""
        self.length = self._next(self.length, character)
        return self.length if self.length == len(self._string) else 0

    def _next(self, length: int, character: str) -> int:
        while length and (length == len(self._string) or self._string[length] != character):
            length = self._fallbacks[length - 1]
        return length + 1 if self._string[length] == character else 0
