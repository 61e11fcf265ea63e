import pytest

from tiercel.decoding import prefix_hash
from tiercel.decoding.distributions import TokenDistribution
from tiercel.draft_stream import Advance, Block, DrafterSide, Origin, Resync, TokenSequence
from tiercel.draft_stream.drafter_side import Applied

PREFIX = [7, 0, 7]


def advance(truth, keep, *, epoch=0, window=8):
    return Advance(epoch, keep, tuple(truth[keep:]), prefix_hash.of(truth), window, 4)


def origins(*sources):
    return [Origin(source) for source in sources]


@pytest.fixture
def drafter():
    return DrafterSide(TokenSequence(PREFIX), max_tokens_ahead=5, num_speculative_tokens=4)


@pytest.fixture
def ahead(drafter):
    """A drafter that sent two tokens and has one more."""
    drafter.propose([1, 2], origins("suffix", "int4"))
    drafter.block()
    drafter.propose([3], origins("int4"))
    return drafter


def test_a_block_holds_what_was_not_sent_yet(ahead):
    assert ahead.block() == Block(0, 5, (3,), prefix_hash.of([*PREFIX, 1, 2]), ("int4",))
    assert ahead.block() == Block(0, 6, (), prefix_hash.of([*PREFIX, 1, 2, 3]), ())


def test_tokens_held_back_go_with_the_next_block(drafter):
    drafter.propose([1, 2, 3], origins("a", "b", "c"))
    assert drafter.block(num_held=2) == Block(0, 3, (1,), prefix_hash.of(PREFIX), ("a",))
    assert drafter.num_unsent == 2
    assert drafter.block().sources == ("b", "c")


def test_more_tokens_than_there_are_can_be_held_back(drafter):
    drafter.propose([1, 2, 3], origins("a", "b", "c"))
    assert drafter.block(num_held=4) == Block(0, 3, (), prefix_hash.of(PREFIX), ())
    assert drafter.block().sources == ("a", "b", "c")


def test_room_is_what_the_window_leaves(ahead):
    assert ahead.room == 2
    ahead.on_advance(advance([*PREFIX, 1], 3, window=4))
    assert ahead.room == 2
    ahead.on_advance(advance([*PREFIX, 1], 4, window=1))
    assert ahead.room == 0


def test_an_advance_that_the_drafter_foresaw_costs_it_nothing(ahead):
    assert ahead.on_advance(advance([*PREFIX, 1, 2], 3)) == Applied(None, ())
    assert (ahead.committed_length, ahead.num_unsent) == (5, 1)
    assert ahead.sequence.tokens() == [*PREFIX, 1, 2, 3]


def test_a_bonus_token_that_the_drafter_guessed_is_not_sent(ahead):
    assert ahead.on_advance(advance([*PREFIX, 1, 2, 3], 3)) == Applied(None, ())
    assert ahead.block() == Block(0, 6, (), prefix_hash.of([*PREFIX, 1, 2, 3]), ())


def test_a_rejected_token_and_all_after_it_are_cut(ahead):
    assert ahead.on_advance(advance([*PREFIX, 1, 9], 3, epoch=1)) == Applied(4, (9,))
    ahead.propose([5], origins("suffix"))
    assert ahead.block() == Block(1, 5, (5,), prefix_hash.of([*PREFIX, 1, 9]), ("suffix",))


def test_an_unsent_token_that_is_rejected_takes_its_source_along(ahead):
    assert ahead.on_advance(advance([*PREFIX, 1, 2, 9], 3)) == Applied(5, (9,))
    ahead.propose([5], origins("suffix"))
    assert ahead.block().sources == ("suffix",)


def test_a_truth_beyond_all_that_was_drafted_is_appended(ahead):
    assert ahead.on_advance(advance([*PREFIX, 1, 2, 3, 4], 3)) == Applied(None, (4,))
    assert (ahead.committed_length, ahead.num_unsent) == (7, 0)


def test_a_new_epoch_voids_what_was_drafted_ahead_though_the_truth_agrees(ahead):
    assert ahead.on_advance(advance([*PREFIX, 1], 3, epoch=1)) == Applied(4, ())
    assert (ahead.sequence.tokens(), ahead.num_unsent) == ([*PREFIX, 1], 0)


def test_the_truth_may_shrink_below_what_was_committed(ahead):
    assert ahead.on_advance(advance([7], 1, epoch=1)) == Applied(1, ())
    assert (ahead.committed_length, ahead.sequence.tokens()) == (1, [7])


@pytest.mark.parametrize("changed", [0, 2])
def test_a_sequence_that_changed_by_itself_is_mended_by_a_resync(ahead, changed):
    tokens = ahead.sequence.tokens()
    tokens[changed] += 1
    ahead.sequence = TokenSequence(tokens)
    truth = [*PREFIX, 1]
    assert ahead.on_advance(advance(truth, 3)) == Resync(0, 3, prefix_hash.of(tokens[:3]))
    assert ahead.sequence.tokens() == tokens and ahead.committed_length == 3
    assert ahead.on_advance(advance(truth, 0, epoch=1)) == Applied(changed, tuple(truth[changed:]))


def test_an_advance_that_leaves_a_gap_is_answered_with_where_the_drafter_stands(ahead):
    answer = ahead.on_advance(advance([*PREFIX, 1, 2, 3, 4, 5, 6], 8))
    assert answer == Resync(0, 3, prefix_hash.of(PREFIX))


def test_a_resync_from_below_what_was_committed_starts_at_the_cut(ahead):
    assert ahead.on_advance(advance([8, 8], 1, epoch=1)) == Resync(1, 1, prefix_hash.of([7]))


def test_a_block_says_how_its_tokens_were_drawn_and_only_of_all_of_them(drafter):
    drawn = [Origin("a", prob, TokenDistribution.certain(prob)) for prob in (1, 2, 3)]
    drafter.propose([1, 2, 3], drawn)
    first = drafter.block(num_held=2)
    assert first.probs == (1,) and first.distributions == (drawn[0].distribution,)
    drafter.propose([4], [Origin("a", 4)])
    rest = drafter.block()
    assert rest.probs == (2, 3, 4) and rest.distributions is None
    assert [origin.prob for origin in rest.origins()] == [2, 3, 4]


def test_what_is_said_of_a_token_that_is_cut_goes_with_it(ahead):
    ahead.propose([4], [Origin("a", 0.4)])
    ahead.on_advance(advance([*PREFIX, 1, 2, 3, 9], 3, epoch=1))
    ahead.propose([5], [Origin("a", 0.5)])
    assert ahead.block().probs == (0.5,)
