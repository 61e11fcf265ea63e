"""A parent and a drafter joined by two ordered channels, and what every step must come to.

What is expected is worked out from plain lists of whole sequences, never from hashes or positions:
each message travels with the sequence that its sender meant.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from tests.draft_stream.expected import common, fate_of, judged
from tiercel.decoding import prefix_hash
from tiercel.draft_stream import Advance, Block, DrafterSide, ParentSide, Resync, TokenSequence
from tiercel.draft_stream.drafter_side import Applied
from tiercel.draft_stream.messages import Origin
from tiercel.draft_stream.parent_side import BlockFate, Judgement

PREFIX = (1, 0, 2)
WIDTH = 4  # num_speculative_tokens, which the machines only pass on
FIRST_CREDIT = 4


@dataclass(frozen=True)
class Told:
    """An Advance, and the whole truth that it stands for."""

    advance: Advance
    truth: list[int]


@dataclass(frozen=True)
class Sent:
    """A block, and the whole sequence that its tokens were drafted after."""

    block: Block
    prefix: list[int]


class Pair:
    """Both sides, the channels, and the lists that say what should be."""

    def __init__(
        self,
        parent_type: type[ParentSide] = ParentSide,
        drafter_type: type[DrafterSide] = DrafterSide,
        prefix: Sequence[int] = PREFIX,
    ) -> None:
        self.parent = parent_type(TokenSequence(prefix))
        self.drafter = drafter_type(
            TokenSequence(prefix), max_tokens_ahead=FIRST_CREDIT, num_speculative_tokens=WIDTH
        )
        self.truth = list(prefix)
        self.epoch = 0
        self.down: deque[Told] = deque()
        self.up: deque[Sent | Resync] = deque()
        self.history: list[Sent] = []
        self.origins: dict[str, list[int]] = {}  # by source: the sequence that ends in its token
        self.nothing_after: list[list[int]] = []  # where the drafter had nothing to propose
        self.judged_sources: list[str] = []
        self.copied_sources: set[str] = set()  # which may well be judged twice
        self.num_accepted = self.num_rejected = 0
        self.credit = FIRST_CREDIT  # as the drafter knows it

    @property
    def known(self) -> list[int]:
        """The truth and the run behind it."""
        return self.truth + self.parent.run

    @property
    def drafted(self) -> list[int]:
        """All that the drafter has, and thinks committed or proposed."""
        return self.drafter.sequence.tokens()

    def advance(self, back: int, num_kept_of_run: int, fresh: Sequence[int], credit: int) -> None:
        """The parent goes back by so many tokens, restates so many that it knew, adds others."""
        before, sources = self.known, self.parent.sources
        keep = max(0, len(self.truth) - back)
        tokens = before[keep:][:num_kept_of_run] + list(fresh)
        truth = before[:keep] + tokens
        fork = common(truth, before)
        cut = len(truth) < len(self.truth) or fork < min(len(truth), len(before))
        is_decided = fork >= len(self.truth)
        expected = judged(self.parent.run, truth[len(self.truth) :]) if is_decided else None
        message, judgement = self.parent.advance(
            keep, tokens, max_tokens_ahead=credit, num_speculative_tokens=WIDTH
        )
        assert judgement == expected, "the judgement on the run"
        self._count(judgement, sources)
        self.truth = truth
        self.epoch += cut
        assert self.parent.run == ([] if cut else before[len(truth) :]), "the run that is left"
        assert not self.parent.exhausted
        self._tell(message)

    def propose(self, tokens: Sequence[int]) -> None:
        """The drafter adds tokens, as many as it has credit for; each gets a source of its own."""
        for token in tokens[: self.drafter.room]:
            source = f"tier-{len(self.origins)}"
            self.drafter.propose([token], [Origin(source)])
            self.origins[source] = self.drafted

    def send_block(self, num_held: int = 0) -> Sent:
        """The drafter sends what it has not sent yet, but for the last `num_held` tokens."""
        num_unsent, whole = self.drafter.num_unsent, self.drafted
        num_held = min(num_held, num_unsent)
        start, end = len(whole) - num_unsent, len(whole) - num_held
        block = self.drafter.block(num_held)
        prefix = whole[:start]
        sent = Sent(block, prefix)
        assert (block.start_position, list(block.token_ids)) == (start, whole[start:end])
        assert [self.origins[source][-1] for source in block.sources] == whole[start:end]
        assert self.drafter.num_unsent == num_held
        if not block.token_ids:
            self.nothing_after.append(prefix)
        self.up.append(sent)
        self.history.append(sent)
        return sent

    def deliver_down(self) -> None:
        told = self.down.popleft()
        before, known = self.drafted, (self.drafter.epoch, self.drafter.committed_length)
        result = self.drafter.on_advance(told.advance)
        fits = before[: told.advance.keep_length] + list(told.advance.token_ids) == told.truth
        if isinstance(result, Resync):
            assert not fits, "an Advance that fits was refused"
            assert self.drafted == before
            assert (self.drafter.epoch, self.drafter.committed_length) == known
            self.up.append(result)
            return
        assert fits, "an Advance was applied to a sequence that it does not fit"
        self._check_applied(told, before, known[0], result)
        self.credit = told.advance.max_tokens_ahead

    def deliver_up(self) -> None:
        message = self.up.popleft()
        if isinstance(message, Resync):
            self.resync(message)
        else:
            self.take(message, counts=True)

    def take(self, sent: Sent, *, counts: bool = False) -> BlockFate:
        """The parent gets a block; copies do not count for the totals."""
        block, before, run_before = sent.block, self.known, self.parent.run
        whole = sent.prefix + list(block.token_ids)
        fate, late = self.parent.on_block(block)
        if block.epoch != self.epoch or before[: block.start_position] != sent.prefix:
            assert (fate, late) == (BlockFate.STALE, None)
        else:
            committed = self.truth[block.start_position :]
            assert late == judged(block.token_ids, committed), "the judgement on a late block"
            assert fate == fate_of(whole, before), "the fate of a block"
        if counts:
            self._count(late, block.sources)
        else:
            self.copied_sources |= set(block.sources)
        new_run = whole[len(self.truth) :] if fate is BlockFate.NEW else run_before
        assert self.parent.run == new_run, "the run after a block"
        return fate

    def forge(self, epoch: int, start: int, tokens: Sequence[int], *, fits: bool) -> BlockFate:
        """The parent gets a block that the drafter never made; `fits`: with the right hash."""
        prefix = self.known[:start] if fits and start <= len(self.known) else [-1]
        sources = [f"liar-{len(self.origins) + i}" for i in range(len(tokens))]
        whole = prefix + list(tokens)
        for end, source in enumerate(sources, start=len(prefix) + 1):
            self.origins[source] = whole[:end]
        if not tokens:
            self.nothing_after.append(prefix)
        block = Block(epoch, start, tuple(tokens), prefix_hash.of(prefix), tuple(sources))
        return self.take(Sent(block, prefix))

    def resync(self, resync: Resync) -> None:
        message = self.parent.on_resync(resync, max_tokens_ahead=5, num_speculative_tokens=WIDTH)
        assert (message is None) == (resync.epoch != self.epoch)
        if message is None:
            return
        self.epoch += 1
        assert self.parent.run == []
        self._tell(message)

    def drain(self) -> None:
        """Deliver everything, and what is said in answer, until both channels are silent."""
        for _ in range(2 * (len(self.up) + len(self.down)) + 4):
            while self.down:
                self.deliver_down()
            while self.up:
                self.deliver_up()
        assert not self.up and not self.down, "the two sides never fall silent"

    def corrupt(self, position: int) -> None:
        """Silently change one token of the drafter's sequence."""
        tokens = self.drafted
        tokens[position] += 1
        self.drafter.sequence = TokenSequence(tokens)

    def check(self) -> None:
        """What holds at every moment."""
        parent, drafter = self.parent, self.drafter
        assert parent.committed_length == len(self.truth)
        assert parent.epoch == self.epoch
        assert len(parent.sources) == len(parent.run)
        for end, source in enumerate(parent.sources, start=len(self.truth) + 1):
            assert self.origins[source] == self.known[:end], "the run was not drafted after this"
        if parent.exhausted:
            assert self.known in self.nothing_after, "it never said that it had nothing here"
        ahead = len(self.drafted) - drafter.committed_length
        assert drafter.room == max(0, self.credit - ahead)
        once = [source for source in self.judged_sources if source not in self.copied_sources]
        assert len(once) == len(set(once)), "a token was judged twice"

    def check_settled(self) -> None:
        """What holds when nothing is under way, and nothing was forged or corrupted."""
        assert self.drafter.epoch == self.epoch
        assert self.drafter.committed_length == len(self.truth)
        kept = len(self.drafted) - self.drafter.num_unsent
        assert self.drafted[:kept] == self.known, "what was drafted ahead was lost, or not cut"

    def _tell(self, message: Advance) -> None:
        assert message.epoch == self.epoch, "every cut is an epoch, and nothing else is"
        assert message.prefix_hash == prefix_hash.of(self.truth), "what is committed changed"
        self.down.append(Told(message, self.truth.copy()))

    def _check_applied(self, told: Told, before: list[int], epoch: int, result: Applied) -> None:
        fork = common(before, told.truth)
        is_run_kept = told.advance.epoch == epoch and fork == len(told.truth)
        after = before if is_run_kept else told.truth
        assert self.drafted == after, "the drafter's sequence after an Advance"
        cut_length = None if is_run_kept or fork == len(before) else fork
        assert result == Applied(cut_length, tuple(told.truth[fork:]))
        assert self.drafter.committed_length == len(told.truth)

    def _count(self, judgement: Judgement | None, sources: Sequence[str]) -> None:
        if judgement is None:
            return
        num_judged = judgement.num_accepted + judgement.num_rejected
        assert num_judged <= judgement.num_draft_tokens <= len(sources)
        self.judged_sources += sources[:num_judged]
        self.num_accepted += judgement.num_accepted
        self.num_rejected += judgement.num_rejected
