"""The parent's side of a draft stream: what is committed, and what the drafter ran ahead with."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tiercel.draft_stream.messages import Advance, Block, Origin, Resync
from tiercel.draft_stream.token_sequence import TokenSequence


class BlockFate(Enum):
    """What became of a block that arrived."""

    NEW = "new"  # it brought tokens that wait to be verified
    NOTHING = "nothing"  # the drafter has nothing to propose, or nothing that is not known
    STALE = "stale"  # made for a sequence that is no more
    WRONG = "wrong"  # it guessed a token otherwise than it was committed meanwhile


@dataclass(frozen=True)
class Judgement:
    """How a drafter's tokens compare with what was committed in their place."""

    num_draft_tokens: int
    num_accepted: int
    num_rejected: int  # 0 or 1: what follows a rejection is not judged


class ParentSide:
    """The truth as told to one drafter, followed by the run of tokens that it sent.

    The run is kept in `_sequence` behind the committed tokens.
    """

    def __init__(self, prefix: TokenSequence) -> None:
        self.epoch = 0
        self.committed_length = len(prefix)
        self._sequence = prefix.copy()
        self._origins: list[Origin] = []  # of the run's tokens
        self._exhausted = False

    @property
    def run(self) -> list[int]:
        """Draft tokens that wait to be verified."""
        return self._sequence.tokens(self.committed_length)

    @property
    def sources(self) -> list[str]:
        """The tier that first proposed each token of the run."""
        return [origin.source for origin in self._origins]

    @property
    def origins(self) -> list[Origin]:
        """Where each token of the run comes from, and how it was drawn."""
        return list(self._origins)

    @property
    def exhausted(self) -> bool:
        """Whether the drafter said that it has nothing more to propose after this run."""
        return self._exhausted

    def on_block(self, block: Block) -> tuple[BlockFate, Judgement | None]:
        """Take a block in; tokens that overlap with committed ones are judged at once."""
        if not self._continues(block):
            return BlockFate.STALE, None
        known = len(self._sequence) - block.start_position
        agreed = self._sequence.agreement(block.start_position, block.token_ids)
        late = self._judge_late(block, agreed)
        if agreed < min(known, len(block.token_ids)):
            return BlockFate.WRONG, late
        self._sequence.append(block.token_ids[known:])
        self._origins += block.origins()[known:]
        self._exhausted = not block.token_ids and known == 0
        return (BlockFate.NEW if len(block.token_ids) > known else BlockFate.NOTHING), late

    def advance(
        self,
        keep_length: int,
        token_ids: Sequence[int],
        *,
        max_tokens_ahead: int,
        num_speculative_tokens: int,
        rejected_from: int | None = None,
    ) -> tuple[Advance, Judgement | None]:
        """Move the truth: keep `keep_length` committed tokens, then commit `token_ids`.

        Where the run says otherwise, it is cut there and the epoch grows. A run whose tokens from
        position `rejected_from` on were rejected is cut there even if the truth says the same: a
        rule that looked at what follows has left its mark on what it rejected. Return the message
        for the drafter, and the judgement on the tokens of the run that this decided, if any.
        """
        if not 0 <= keep_length <= self.committed_length:
            raise ValueError(f"cannot keep {keep_length} of {self.committed_length} tokens")
        length = keep_length + len(token_ids)
        agreed = self._sequence.agreement(keep_length, token_ids)
        if rejected_from is not None:
            agreed = min(agreed, max(0, rejected_from - keep_length))
        judgement = self._judge_run(keep_length + agreed, length)
        if length < self.committed_length or keep_length + agreed < min(
            length, len(self._sequence)
        ):
            self._sequence.cut(keep_length + agreed)
            self.epoch += 1
        self._sequence.append(token_ids[len(self._sequence) - keep_length :])
        self._commit(length)
        message = Advance(
            epoch=self.epoch,
            keep_length=keep_length,
            token_ids=tuple(token_ids),
            prefix_hash=self._sequence.hash_at(self.committed_length),
            max_tokens_ahead=max_tokens_ahead,
            num_speculative_tokens=num_speculative_tokens,
        )
        return message, judgement

    def on_resync(
        self, resync: Resync, *, max_tokens_ahead: int, num_speculative_tokens: int
    ) -> Advance | None:
        """Restate the truth from where the drafter still stands; None if it is out of date."""
        if resync.epoch != self.epoch:
            return None
        have = resync.have_position
        if have > self.committed_length or self._sequence.hash_at(have) != resync.prefix_hash:
            have = 0
        self._sequence.cut(self.committed_length)
        self._origins.clear()
        self._exhausted = False
        self.epoch += 1
        return Advance(
            epoch=self.epoch,
            keep_length=have,
            token_ids=tuple(self._sequence.tokens(have)),
            prefix_hash=self._sequence.hash_at(self.committed_length),
            max_tokens_ahead=max_tokens_ahead,
            num_speculative_tokens=num_speculative_tokens,
        )

    def _continues(self, block: Block) -> bool:
        return (
            block.epoch == self.epoch
            and block.start_position <= len(self._sequence)
            and self._sequence.hash_at(block.start_position) == block.prefix_hash
        )

    def _judge_late(self, block: Block, agreed: int) -> Judgement | None:
        overlap = min(self.committed_length - block.start_position, len(block.token_ids))
        if overlap <= 0:
            return None
        rejected = agreed < overlap  # then the whole block is dropped
        num_draft_tokens = len(block.token_ids) if rejected else overlap
        return Judgement(num_draft_tokens, min(agreed, overlap), int(rejected))

    def _judge_run(self, fork: int, length: int) -> Judgement | None:
        """Judge the run against a truth of `length` tokens that agrees with it up to `fork`."""
        overlap = min(len(self._sequence), length) - self.committed_length
        if overlap <= 0 or fork < self.committed_length:
            return None
        agreed = min(fork - self.committed_length, overlap)
        rejected = agreed < overlap
        return Judgement(len(self.run) if rejected else overlap, agreed, int(rejected))

    def _commit(self, length: int) -> None:
        run_length = len(self._sequence) - length
        self._origins = self._origins[-run_length:] if run_length else []
        self.committed_length = length
        self._exhausted = False
