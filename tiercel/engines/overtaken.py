"""Drafts from what another model said in a sequence's place, before this one took over."""

from collections.abc import Sequence

from tiercel.engines.guesses import Guess
from tiercel.engines.suffix import SuffixIndex, SuffixPool

# Of a text that nothing is known of so much is taken for granted: so many tokens that stood, and
# one that did not.
_STOOD = 3.0


class OvertakenText:
    """Guesses on as the text does as long as the sequence agrees with it.

    Behind the first difference the text is a document to look the last tokens up in.
    """

    name = "overtaken"

    def __init__(self, start: int, text: Sequence[int]) -> None:
        """Take the tokens that were said from position `start` of the sequence on."""
        self._start, self._text = start, list(text)
        pool = SuffixPool(len(self._text) + 2)  # its end takes a place too
        pool.add(self._text)
        self._index = SuffixIndex(pool, looks_back=False)
        self._num_agreeing = 0  # tokens of the text before the first that differs

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens behind the sequence's last."""
        for token in tokens:
            if self._agrees and self._text[self._num_agreeing] == token:
                self._num_agreeing += 1
            self._index.append((token,))

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on."""
        self._index.truncate(length)
        self._num_agreeing = min(self._num_agreeing, max(0, length - self._start))

    def guess(self) -> Guess | None:
        """Return the text's next token, or what stands in it behind tokens like the last ones.

        Where n tokens of the text stood the next one does with a chance of (n + 3) / (n + 4): the
        rule of succession, for a text of which three were seen to stand and one was not.
        """
        if self._agrees:
            stood = self._num_agreeing + _STOOD
            return Guess(self._text[self._num_agreeing], stood / (stood + 1))
        return self._index.guess()

    @property
    def _agrees(self) -> bool:
        """Whether all of the sequence from the start on is what the text began with."""
        place = len(self._index) - self._start
        return place == self._num_agreeing < len(self._text)
