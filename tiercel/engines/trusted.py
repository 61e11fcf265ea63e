"""A source of guesses that learns, in one sequence, how far it is to be believed."""

from collections.abc import Sequence

from tiercel.engines.guesses import Guess, Source

# Weight of what was seen before when a guess is judged.
_KEPT = 0.98
# So many guesses that held as often as they said are taken for granted to begin with.
_PRIOR = 4.0


class Trusted:
    """Guesses what `source` guesses, as sure as its guesses in this sequence turned out to be.

    A guess is judged whether it was drafted or not: it costs nothing to find out.
    """

    def __init__(self, source: Source) -> None:
        """Take a new source, at its word."""
        self.name = source.name
        self._source = source
        self._length = 0
        self._made: list[tuple[int, Guess]] = []  # with the position of each
        self._num_right = self._num_expected = _PRIOR

    @property
    def trust(self) -> float:
        """How many guesses held over how many should have, at most 1: modesty is left alone."""
        return min(1.0, self._num_right / self._num_expected)

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens behind the sequence's last."""
        self._source.append(tokens)
        self._length += len(tokens)

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on."""
        self._source.truncate(length)
        self._length = length

    def guess(self) -> Guess | None:
        """Return what may come next, None without any evidence."""
        guess = self._source.guess()
        if guess is None:
            return None
        self._made.append((self._length, guess))
        return Guess(guess.token, guess.confidence * self.trust)

    def judge(self, start: int, tokens: Sequence[int]) -> None:
        """Note what really stood from `start` on; guesses for other places are forgotten."""
        for position, guess in self._made:
            if start <= position < start + len(tokens):
                is_right = tokens[position - start] == guess.token
                self._num_right = _PRIOR + _KEPT * (self._num_right - _PRIOR) + is_right
                self._num_expected = (
                    _PRIOR + _KEPT * (self._num_expected - _PRIOR) + guess.confidence
                )
        self._made.clear()
