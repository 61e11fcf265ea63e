"""How much a drafter may say that brings its parent nothing: pure, time is an argument."""

# So many messages at once, and so many more for each second and for each question.
_MOST, _PER_S, _PER_QUESTION = 100.0, 10.0, 2.0


class Chatter:
    """Counts the messages of one stream, for each one takes its parent's time."""

    def __init__(self, now: float) -> None:
        """Start with a full measure."""
        self._left, self._then = _MOST, now

    def useful(self) -> None:
        """Note that the last message brought something, so that it does not count."""
        self._left += 1

    def question(self) -> None:
        """Note that the parent said something that wants an answer."""
        self._left = min(_MOST, self._left + _PER_QUESTION)

    def is_flood(self, now: float) -> bool:
        """Note a message; return whether it is one too many."""
        self._left = min(_MOST, self._left + (now - self._then) * _PER_S) - 1
        self._then = now
        return self._left < 0
