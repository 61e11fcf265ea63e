from dataclasses import replace

import pytest

from tiercel.decoding import prefix_hash
from tiercel.draft_stream import Advance, Block, BlockFate, Judgement, ParentSide, TokenSequence
from tiercel.draft_stream.messages import Resync

PREFIX = [7, 0, 7]
WINDOW = {"max_tokens_ahead": 8, "num_speculative_tokens": 4}


def block(start_prefix, tokens, *, epoch=0, tier="suffix"):
    return Block(
        epoch=epoch,
        start_position=len(start_prefix),
        token_ids=tuple(tokens),
        prefix_hash=prefix_hash.of(start_prefix),
        sources=(tier,) * len(tokens),
    )


@pytest.fixture
def parent():
    return ParentSide(TokenSequence(PREFIX))


@pytest.fixture
def ahead(parent):
    """A parent with a run of four tokens by two tiers."""
    parent.on_block(block(PREFIX, [1, 2]))
    parent.on_block(block([*PREFIX, 1, 2], [3, 4], tier="int4"))
    return parent


def test_blocks_of_one_epoch_make_one_run(ahead):
    assert ahead.run == [1, 2, 3, 4]
    assert ahead.sources == ["suffix", "suffix", "int4", "int4"]


def test_an_advance_states_the_truth_the_hash_of_it_and_the_window(parent):
    message, judgement = parent.advance(3, [5], **WINDOW)
    assert message == Advance(0, 3, (5,), prefix_hash.of([*PREFIX, 5]), 8, 4)
    assert judgement is None


def test_a_bonus_token_that_the_run_guessed_right_cuts_nothing(ahead):
    message, judgement = ahead.advance(3, [1, 2, 3], **WINDOW)
    assert message.epoch == ahead.epoch == 0
    assert ahead.run == [4] and ahead.sources == ["int4"]
    assert judgement == Judgement(3, 3, 0)


def test_a_bonus_token_guessed_right_in_a_block_under_way_cuts_nothing(parent):
    parent.on_block(block(PREFIX, [1, 2]))
    parent.advance(3, [1, 2, 3], **WINDOW)
    fate = parent.on_block(block([*PREFIX, 1, 2], [3, 4, 5]))
    assert fate == (BlockFate.NEW, Judgement(1, 1, 0))
    assert (parent.epoch, parent.run) == (0, [4, 5])


def test_a_bonus_token_guessed_wrong_drops_the_block_and_what_follows_it(parent):
    parent.advance(3, [1, 9], **WINDOW)
    assert parent.on_block(block(PREFIX, [1, 2, 3])) == (BlockFate.WRONG, Judgement(3, 1, 1))
    assert parent.on_block(block([*PREFIX, 1, 2, 3], [4])) == (BlockFate.STALE, None)
    assert (parent.epoch, parent.run) == (0, [])


def test_a_rejection_cuts_the_run_and_starts_an_epoch(ahead):
    message, judgement = ahead.advance(3, [1, 9], **WINDOW)
    assert message.epoch == 1 and ahead.run == ahead.sources == []
    assert judgement == Judgement(4, 1, 1)
    assert ahead.on_block(block([*PREFIX, 1, 2, 3, 4], [5])) == (BlockFate.STALE, None)


def test_a_cut_below_what_was_committed_judges_nothing(ahead):
    message, judgement = ahead.advance(1, [6, 6, 6], **WINDOW)
    assert (message.epoch, message.keep_length, judgement) == (1, 1, None)
    assert message.prefix_hash == prefix_hash.of([7, 6, 6, 6]) and ahead.run == []


def test_a_truth_that_only_shrinks_drops_the_run_that_followed_it(ahead):
    message, judgement = ahead.advance(2, [], **WINDOW)
    assert (message.epoch, ahead.committed_length, ahead.run, judgement) == (1, 2, [], None)


def test_a_truth_that_is_restated_and_grows_along_the_run_cuts_nothing(ahead):
    message, judgement = ahead.advance(1, [0, 7, 1, 2], **WINDOW)
    assert (message.epoch, ahead.run, judgement) == (0, [3, 4], Judgement(2, 2, 0))


def test_more_cannot_be_kept_than_was_committed(ahead):
    with pytest.raises(ValueError, match="cannot keep 4 of 3"):
        ahead.advance(4, [], **WINDOW)


def test_an_empty_block_says_that_the_drafter_has_nothing_more_until_the_truth_moves(ahead):
    assert ahead.on_block(block([*PREFIX, 1, 2, 3, 4], [])) == (BlockFate.NOTHING, None)
    assert ahead.exhausted
    ahead.advance(3, [1], **WINDOW)
    assert not ahead.exhausted


def test_an_empty_block_for_an_older_position_says_nothing(ahead):
    assert ahead.on_block(block(PREFIX, [])) == (BlockFate.NOTHING, None)
    assert not ahead.exhausted


@pytest.mark.parametrize(
    "garbage",
    [
        block(PREFIX, [1], epoch=1),
        block([7, 0, 8], [1]),
        block([*PREFIX, 1, 2, 3, 4, 5], [6]),
        block([0] * 2**12, [2**31]),
        Block(0, 2**32 - 1, (1,), 0, ("liar",)),
    ],
    ids=["epoch", "hash", "gap", "far beyond", "end of range"],
)
def test_a_block_that_does_not_continue_the_sequence_changes_nothing(ahead, garbage):
    assert ahead.on_block(garbage) == (BlockFate.STALE, None)
    assert ahead.run == [1, 2, 3, 4] and not ahead.exhausted


def test_a_block_delivered_twice_changes_nothing(ahead):
    assert ahead.on_block(block(PREFIX, [1, 2])) == (BlockFate.NOTHING, None)
    assert ahead.run == [1, 2, 3, 4]


def test_a_resync_is_answered_from_where_the_drafter_stands(ahead):
    message = ahead.on_resync(Resync(0, 2, prefix_hash.of([7, 0])), **WINDOW)
    assert message == Advance(1, 2, (7,), prefix_hash.of(PREFIX), 8, 4)
    assert ahead.run == []


@pytest.mark.parametrize("have, value", [(2, 1), (2**32 - 1, 1)])
def test_a_resync_from_elsewhere_is_answered_with_the_whole_truth(ahead, have, value):
    message = ahead.on_resync(Resync(0, have, value), **WINDOW)
    assert (message.keep_length, message.token_ids) == (0, tuple(PREFIX))


def test_a_resync_of_an_older_epoch_is_passed_over(ahead):
    ahead.advance(3, [9], **WINDOW)
    assert ahead.on_resync(Resync(0, 3, prefix_hash.of(PREFIX)), **WINDOW) is None
    assert ahead.epoch == 1


def test_the_parent_keeps_a_sequence_of_its_own():
    prefix = TokenSequence(PREFIX)
    parent = ParentSide(prefix)
    prefix.cut(0)
    assert parent.advance(3, [], **WINDOW)[0].prefix_hash == prefix_hash.of(PREFIX)


def test_what_a_run_says_of_its_tokens_stays_beside_them(parent):
    said = replace(block(PREFIX, [1, 2, 3]), probs=(0.1, 0.2, 0.3))
    parent.on_block(said)
    parent.advance(3, [1], **WINDOW)
    assert [origin.prob for origin in parent.origins] == [0.2, 0.3]


def test_a_run_that_was_rejected_is_cut_though_the_truth_repeats_it(ahead):
    """Block verification may recover the very token that it rejected."""
    message, judgement = ahead.advance(3, [1, 2], **WINDOW, rejected_from=4)
    assert (message.epoch, ahead.run, judgement) == (1, [], Judgement(4, 1, 1))
    assert message.token_ids == (1, 2)
    assert ahead.committed_length == 5


def test_without_a_rejection_the_same_run_goes_on(ahead):
    message, judgement = ahead.advance(3, [1, 2], **WINDOW)
    assert (message.epoch, ahead.run, judgement) == (0, [3, 4], Judgement(2, 2, 0))
