"""What may happen on a draft stream, in any order: state machines that hypothesis drives."""

import sys
from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.draft_stream.pair import PREFIX, Pair
from tiercel.decoding import prefix_hash
from tiercel.draft_stream import DrafterSide, ParentSide, Resync
from tiercel.draft_stream.parent_side import BlockFate

VOCABULARY = 3  # small, so that the two sides often agree by chance
TOKEN = st.integers(0, VOCABULARY - 1)
CREDIT = st.integers(0, 6)
LENGTH = st.integers(0, 5)


def target(prefix: Sequence[int]) -> int:
    """The model: the next token is a function of all tokens before it."""
    return prefix_hash.of(prefix) % VOCABULARY


def continuation(prefix: Sequence[int], length: int) -> list[int]:
    """The `length` tokens that the model puts after a prefix."""
    whole = list(prefix)
    for _ in range(length):
        whole.append(target(whole))
    return whole[len(prefix) :]


class Traffic(RuleBasedStateMachine):
    """The two sides, and what the channels and the drafter's messages do to them."""

    parent_type: type[ParentSide] = ParentSide
    drafter_type: type[DrafterSide] = DrafterSide

    def __init__(self) -> None:
        super().__init__()
        self.pair = self.new_pair(PREFIX)
        self.is_tainted = False  # something was forged or corrupted, and not yet mended

    def new_pair(self, prefix: Sequence[int]) -> Pair:
        return Pair(self.parent_type, self.drafter_type, prefix)

    @rule(length=LENGTH)
    def the_drafter_follows_the_model(self, length):
        self.pair.propose(continuation(self.pair.drafted, length))

    @rule(num_held=st.sampled_from([0, 0, 1, 2]))
    def the_drafter_sends_a_block(self, num_held):
        self.pair.send_block(num_held)

    @rule(length=LENGTH)
    def the_drafter_drafts_and_sends(self, length):
        self.pair.propose(continuation(self.pair.drafted, length))
        self.pair.send_block()

    @rule(length=st.integers(1, 3), credit=CREDIT)
    def the_parent_commits_tokens_of_its_run(self, length, credit):
        self.pair.advance(0, length, [], credit)

    @rule(length=st.integers(1, 2), credit=CREDIT)
    def the_parent_commits_what_the_drafter_has_but_may_not_have_sent(self, length, credit):
        drafted, truth = self.pair.drafted, self.pair.truth
        agrees = drafted[: len(truth)] == truth
        self.pair.advance(0, 0, drafted[len(truth) :][:length] if agrees else [], credit)

    @precondition(lambda self: self.pair.down)
    @rule()
    def an_advance_arrives(self):
        self.pair.deliver_down()

    @precondition(lambda self: self.pair.up)
    @rule()
    def a_message_of_the_drafter_arrives(self):
        self.pair.deliver_up()

    @precondition(lambda self: self.pair.history)
    @rule(data=st.data())
    def an_old_or_early_copy_of_a_block_arrives(self, data):
        self.pair.take(data.draw(st.sampled_from(self.pair.history)))

    @rule(epoch_error=st.sampled_from([0, 0, 1, -1]), have=st.integers(0, 9), fits=st.booleans())
    def a_resync_out_of_nowhere_arrives(self, epoch_error, have, fits):
        value = prefix_hash.of(self.pair.truth[:have]) if fits else 7
        self.pair.resync(Resync(self.pair.epoch + epoch_error, have, value))

    @precondition(lambda self: self.last_corruptible)
    @rule(back=st.integers(1, 5))
    def a_token_of_the_drafter_changes_by_itself(self, back):
        self.is_tainted = True
        self.pair.corrupt(max(0, self.last_corruptible - back))

    @property
    def last_corruptible(self) -> int:
        return len(self.pair.drafted) - self.pair.drafter.num_unsent

    @rule()
    def all_falls_silent_and_the_next_token_is_committed_while_a_block_is_under_way(self):
        pair = self.pair
        self.settle()
        pair.advance(0, len(pair.parent.run), [], credit=6)
        self.settle()
        pair.propose(continuation(pair.drafted, 2))
        sent, epoch = pair.send_block(), pair.epoch
        assert len(sent.block.token_ids) >= 2
        first, *ahead = sent.block.token_ids
        pair.advance(0, 0, [first], credit=6)
        pair.drain()
        assert (pair.parent.epoch, pair.parent.run) == (epoch, ahead), "drafting ahead was lost"

    @invariant()
    def all_is_as_it_should_be(self):
        self.pair.check()

    def settle(self) -> None:
        """Silence; if something was broken, one more Advance is enough to mend it."""
        pair = self.pair
        pair.drain()
        if self.is_tainted:
            pair.advance(0, len(pair.parent.run), continuation(pair.known, 1), 2)
            pair.drain()
            self.is_tainted = False
        pair.check()
        pair.check_settled()

    def send_new_tokens(self, length: int) -> None:
        """A drafter with room can always send what the parent takes as new."""
        self.pair.propose(continuation(self.pair.drafted, length))
        sent = self.pair.send_block()
        assert self.pair.up.pop() is sent
        assert self.pair.take(sent, counts=True) is BlockFate.NEW, "no way out of this state"

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:  # else this would hide what failed
            self.settle()


class DraftStream(Traffic):
    """A parent that commits whatever it likes; a drafter that is right, wrong or lying."""

    @rule(length=LENGTH, token=TOKEN, credit=CREDIT)
    def the_parent_commits_tokens_of_its_run_and_a_recovered_one(self, length, token, credit):
        self.pair.advance(0, length, [token], credit)

    @rule(tokens=st.lists(TOKEN, min_size=1, max_size=3), credit=CREDIT)
    def the_parent_commits_beyond_its_run(self, tokens, credit):
        self.pair.advance(0, len(self.pair.parent.run), tokens, credit)

    @rule(length=st.integers(1, 3), credit=CREDIT)
    def the_parent_commits_what_the_model_says(self, length, credit):
        self.pair.advance(0, 0, continuation(self.pair.truth, length), credit)

    @rule(back=st.integers(1, 5), length=LENGTH, tokens=st.lists(TOKEN, max_size=3), credit=CREDIT)
    def the_parent_is_cut_below_what_it_committed(self, back, length, tokens, credit):
        self.pair.advance(back, length, tokens, credit)

    @rule(tokens=st.lists(TOKEN, max_size=4))
    def the_drafter_guesses(self, tokens):
        self.pair.propose(tokens)

    @rule(
        epoch_error=st.sampled_from([0, 0, 1, -1]),
        shift=st.integers(-3, 2),
        tokens=st.lists(st.integers(0, 9), max_size=3),
        fits=st.booleans(),
    )
    def a_block_out_of_nowhere_arrives(self, epoch_error, shift, tokens, fits):
        start = max(0, len(self.pair.known) + shift)
        fate = self.pair.forge(self.pair.epoch + epoch_error, start, tokens, fits=fits)
        self.is_tainted |= fate is BlockFate.NEW

    @rule()
    def all_falls_silent_and_the_drafter_goes_on(self):
        self.settle()
        if self.pair.drafter.room:
            self.send_new_tokens(1)


class SelfDraft(Traffic):
    """A drafter that is the target itself: not one of its tokens may ever be rejected."""

    @rule(length=st.integers(0, 4), back=st.integers(0, 3), credit=CREDIT)
    def the_parent_commits(self, length, back, credit):
        truth = self.pair.truth
        tokens = truth[max(0, len(truth) - back) :] + continuation(truth, length)
        self.pair.advance(back, 0, tokens, credit)

    @rule(back=st.integers(2, 5), length=st.integers(0, 1), credit=CREDIT)
    def the_parent_forgets_tokens(self, back, length, credit):
        self.pair.advance(back, length, [], credit)

    @precondition(lambda self: self.pair.truth)
    @rule(back=st.integers(1, 4), length=st.integers(0, 2), credit=CREDIT)
    def the_parent_is_told_another_token(self, back, length, credit):
        keep = max(0, len(self.pair.truth) - back)
        other = [(self.pair.truth[keep] + 1) % VOCABULARY]
        more = continuation(self.pair.truth[:keep] + other, length)
        self.pair.advance(back, 0, other + more, credit)

    @property
    def last_corruptible(self) -> int:
        return self.pair.drafter.committed_length  # what it drafted itself would be a real error

    @rule()
    def the_drafter_restarts(self):
        self.pair = self.new_pair(self.pair.truth)
        self.is_tainted = False

    @invariant()
    def nothing_was_rejected(self):
        assert self.pair.num_rejected == 0

    @rule(length=st.integers(1, 4))
    def all_falls_silent_and_every_token_drafted_ahead_is_accepted(self, length):
        self.settle()
        self.pair.advance(0, len(self.pair.parent.run), [], credit=length + 6)
        self.settle()
        self.send_new_tokens(length)
        run, accepted = self.pair.parent.run, self.pair.num_accepted
        self.pair.advance(0, 0, continuation(self.pair.truth, len(run)), credit=6)
        assert self.pair.num_accepted == accepted + len(run) >= accepted + length
