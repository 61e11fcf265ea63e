"""The drafter's side of a draft stream: follows the parent's truth, and runs ahead of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tiercel.decoding import prefix_hash
from tiercel.draft_stream.messages import (
    Advance,
    Block,
    Origin,
    Resync,
    distributions_of,
    probs_of,
)
from tiercel.draft_stream.token_sequence import TokenSequence


@dataclass(frozen=True)
class Applied:
    """What an Advance did: the sequence was cut to `cut_length` (None: it was not), then grew."""

    cut_length: int | None
    token_ids: tuple[int, ...]


class DrafterSide:
    """The drafter's sequence: what the parent committed, then what the drafter proposed itself."""

    def __init__(
        self, prefix: TokenSequence, *, max_tokens_ahead: int, num_speculative_tokens: int
    ) -> None:
        self.epoch = 0
        self.sequence = prefix
        self.committed_length = len(prefix)
        self.num_speculative_tokens = num_speculative_tokens
        self._max_tokens_ahead = max_tokens_ahead
        self._sent_length = len(prefix)
        self._origins: list[Origin] = []  # of the tokens not yet sent

    @property
    def room(self) -> int:
        """How many more tokens the parent gives credit for."""
        return max(0, self.committed_length + self._max_tokens_ahead - len(self.sequence))

    @property
    def num_unsent(self) -> int:
        """Tokens proposed and not sent."""
        return len(self.sequence) - self._sent_length

    def on_advance(self, advance: Advance) -> Applied | Resync:
        """Follow the parent; return what changed, or the Resync to send if it does not fit."""
        if advance.keep_length > len(self.sequence):
            return self._resync(advance)
        fork = advance.keep_length + self.sequence.agreement(advance.keep_length, advance.token_ids)
        rest = advance.token_ids[fork - advance.keep_length :]
        if self._hash_after(fork, rest) != advance.prefix_hash:
            return self._resync(advance)
        cut_length = None
        # A new epoch voids what is in flight: what lies ahead of the truth would be sent twice.
        if (rest or advance.epoch != self.epoch) and fork < len(self.sequence):
            cut_length = fork
            self._cut(fork)
        self.sequence.append(rest)
        self.committed_length = advance.keep_length + len(advance.token_ids)
        self._skip_to(self.committed_length)
        self.epoch = advance.epoch
        self._max_tokens_ahead = advance.max_tokens_ahead
        self.num_speculative_tokens = advance.num_speculative_tokens
        return Applied(cut_length, rest)

    def propose(self, token_ids: Sequence[int], origins: Sequence[Origin]) -> None:
        """Add the drafter's own tokens at the end."""
        self.sequence.append(token_ids)
        self._origins += origins

    def block(self, num_held: int = 0) -> Block:
        """Return the tokens not yet sent, but for the last `num_held`, and count them as sent."""
        start = self._sent_length
        end = max(start, len(self.sequence) - num_held)
        origins = self._origins[: end - start]
        block = Block(
            epoch=self.epoch,
            start_position=start,
            token_ids=tuple(self.sequence.tokens(start, end)),
            prefix_hash=self.sequence.hash_at(start),
            sources=tuple(origin.source for origin in origins),
            probs=probs_of(origins),
            distributions=distributions_of(origins),
        )
        self._skip_to(end)
        return block

    def _hash_after(self, fork: int, rest: Sequence[int]) -> int:
        value = self.sequence.hash_at(fork)
        for token_id in rest:
            value = prefix_hash.extend(value, token_id)
        return value

    def _cut(self, length: int) -> None:
        self.sequence.cut(length)
        self._sent_length = min(self._sent_length, length)
        del self._origins[length - self._sent_length :]

    def _skip_to(self, length: int) -> None:
        """Count the tokens before `length` as sent: the parent knows them."""
        num_skipped = max(0, length - self._sent_length)
        del self._origins[:num_skipped]
        self._sent_length += num_skipped

    def _resync(self, advance: Advance) -> Resync:
        have = min(self.committed_length, advance.keep_length)
        return Resync(advance.epoch, have, self.sequence.hash_at(have))
