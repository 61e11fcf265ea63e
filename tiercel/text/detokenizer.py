"""Turns token ids into text one by one, and holds back what is not yet a whole character."""

import codecs
from collections.abc import Callable

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")


class Detokenizer:
    """Incremental UTF-8 decoding of one sequence of tokens.

    All that `push` and `flush` return, joined, is `bytes.decode(errors="replace")` of the joined
    bytes of the ordinary tokens. Special tokens add no text and end no character.
    """

    def __init__(
        self, token_bytes: Callable[[int], bytes], is_special: Callable[[int], bool]
    ) -> None:
        self._token_bytes = token_bytes
        self._is_special = is_special
        self._decoder = _Utf8Decoder(errors="replace")

    def push(self, token_id: int) -> str:
        """Return the text that became certain with this token; often empty."""
        if self._is_special(token_id):
            return ""
        return self._decoder.decode(self._token_bytes(token_id))

    def flush(self) -> str:
        """Return what was held back, U+FFFD in place of an unfinished character."""
        return self._decoder.decode(b"", final=True)
