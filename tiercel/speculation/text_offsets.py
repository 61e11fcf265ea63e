"""Where in the generated text the tokens of one sequence begin: what coupled noise is keyed by."""

from collections.abc import Iterable

from tiercel.decoding import Vocabulary


class TextOffsets:
    """The byte offset of each generated position, and of the one behind the last token."""

    def __init__(
        self, vocabulary: Vocabulary, num_prompt_tokens: int, generated: Iterable[int]
    ) -> None:
        self._vocabulary, self._num_prompt_tokens = vocabulary, num_prompt_tokens
        self._offsets = [0]
        self.extend(generated)

    @property
    def at_end(self) -> int:
        """The offset of the next token."""
        return self._offsets[-1]

    def extend(self, token_ids: Iterable[int]) -> None:
        """Note further tokens."""
        for token_id in token_ids:
            self._offsets.append(self._vocabulary.advance(self._offsets[-1], (token_id,)))

    def cut(self, length: int) -> None:
        """Forget every token from position `length` of the sequence on."""
        del self._offsets[max(1, length - self._num_prompt_tokens + 1) :]
