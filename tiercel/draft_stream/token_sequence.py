"""A sequence of tokens that knows the hash of each of its prefixes."""

from collections.abc import Iterable, Sequence

from tiercel.decoding import prefix_hash


class TokenSequence:
    """Tokens with their prefix hashes; appends and cuts at the end."""

    def __init__(self, token_ids: Iterable[int] = ()) -> None:
        self._token_ids: list[int] = []
        self._hashes = [prefix_hash.EMPTY]
        self.append(token_ids)

    def __len__(self) -> int:
        return len(self._token_ids)

    def copy(self) -> "TokenSequence":
        """Return a sequence of the same tokens that changes by itself."""
        twin = TokenSequence()
        twin._token_ids, twin._hashes = self._token_ids.copy(), self._hashes.copy()
        return twin

    def tokens(self, start: int = 0, end: int | None = None) -> list[int]:
        """Return the tokens in [start, end)."""
        return self._token_ids[start:end]

    def last(self) -> int:
        """Return the last token; the sequence must not be empty."""
        return self._token_ids[-1]

    def append(self, token_ids: Iterable[int]) -> None:
        """Add tokens at the end."""
        for token_id in token_ids:
            self._token_ids.append(token_id)
            self._hashes.append(prefix_hash.extend(self._hashes[-1], token_id))

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on."""
        del self._token_ids[length:]
        del self._hashes[length + 1 :]

    def hash_at(self, length: int) -> int:
        """Return the hash of the first `length` tokens."""
        return self._hashes[length]

    def agreement(self, start: int, token_ids: Sequence[int]) -> int:
        """Return how many of `token_ids` stand here from `start` on, in an unbroken run."""
        own = self._token_ids[start : start + len(token_ids)]
        for count, (here, there) in enumerate(zip(own, token_ids, strict=False)):
            if here != there:
                return count
        return len(own)
