"""Turns token ids into text one by one, and holds back what is not yet a whole character."""

import codecs
from collections.abc import Callable
from dataclasses import dataclass

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


@dataclass(frozen=True)
class DetokenizerState:
    """What a detokenizer remembers between tokens; enough to go on elsewhere."""

    pending: bytes = b""  # the beginning of a character


class Detokenizer:
    """Incremental UTF-8 decoding of one sequence of tokens.

    All that `push` and `flush` return, joined, is `bytes.decode(errors="replace")` of the joined
    bytes of the ordinary tokens. Special tokens add no text and end no character.
    """

    def __init__(
        self,
        token_bytes: Callable[[int], bytes],
        is_special: Callable[[int], bool],
        state: DetokenizerState | None = None,
    ) -> None:
        self._token_bytes = token_bytes
        self._is_special = is_special
        self._decoder = _Utf8Decoder(errors="replace")
        if state is not None:
            self._decoder.setstate((state.pending, 0))

    @property
    def state(self) -> DetokenizerState:
        """What to hand to another Detokenizer, so that it goes on from here."""
        return DetokenizerState(self._decoder.getstate()[0])

    def push(self, token_id: int) -> str:
        """Return the text that became certain with this token; often empty."""
        if self._is_special(token_id):
            return ""
        return self._decoder.decode(self._token_bytes(token_id))

    def flush(self) -> str:
        """Return what was held back, U+FFFD in place of an unfinished character."""
        return self._decoder.decode(b"", final=True)
