"""What a parent keeps of its hidden states, and what each drafter gets of them."""

import numpy as np
import pytest

from tiercel.errors import InvalidRequest
from tiercel.speculation.hidden_states import HiddenFeed, HiddenStates
from tiercel.types import ModelDescription
from tiercel.v1 import drafter_pb2 as pb
from tiercel.wire.draft import states_from_pb

SIZE = 2
MODEL = ModelDescription(
    *("target", "native", "int4", 100, 1000, "n", True), hidden_size=SIZE, weights_digest="d"
)


def states(*positions: int) -> np.ndarray:
    """Return states that say which position they are of."""
    return np.array([[position, -position] for position in positions], np.float32)


def positions_in(content: bytes) -> list[int]:
    found = states_from_pb(pb.Advance(hidden_states=content), hidden_size=SIZE)
    np.testing.assert_array_equal(found[:, 1], -found[:, 0])
    return [int(row[0]) for row in found]


@pytest.fixture
def hidden() -> HiddenStates:
    return HiddenStates(MODEL)


@pytest.fixture
def feed(hidden: HiddenStates) -> HiddenFeed:
    feed = hidden.feed()
    feed.opened(SIZE, "d")
    return feed


def test_nobody_asks_until_there_is_a_drafter(hidden):
    assert hidden.space(3) is None
    feed = hidden.feed()
    assert hidden.space(3).shape == (3, SIZE)  # it may ask yet: the first pass does not wait
    feed.opened(0, "")
    assert hidden.space(3) is None


@pytest.mark.parametrize(("size", "digest"), [(SIZE + 1, "d"), (SIZE, "another"), (0, "")])
def test_states_of_another_model_are_not_sent(hidden, size, digest):
    feed = hidden.feed()
    hidden.note(4, states(4, 5))
    feed.opened(size, digest)
    assert hidden.space(1) is None
    assert feed.rows(7, 0) == b""


def test_a_model_without_states_asks_for_none():
    hidden = HiddenStates(ModelDescription("t", "torch", "fp32", 100, 1000, "n", True))
    hidden.feed()
    assert hidden.space(1) is None


def test_a_drafter_gets_each_state_once_and_all_of_them_at_first(hidden, feed):
    hidden.note(9, states(9))
    hidden.note(10, states(10, 11))
    assert positions_in(feed.rows(13, 10)) == [9, 10, 11]
    hidden.note(12, states(12))
    assert positions_in(feed.rows(14, 13)) == [12]
    feed.opened(SIZE, "d")  # the stream was lost and is opened anew
    assert positions_in(feed.rows(14, 14)) == [9, 10, 11, 12]


def test_after_a_cut_come_the_states_behind_it(hidden, feed):
    hidden.note(9, states(9, 10, 11, 12))
    assert positions_in(feed.rows(14, 10)) == [9, 10, 11, 12]
    hidden.cut(11)
    hidden.note(11, states(11))
    assert positions_in(feed.rows(13, 11)) == [10, 11]


def test_there_is_no_gap_before_the_last_state(hidden, feed):
    hidden.note(3, states(3, 4))
    hidden.note(8, states(8))
    assert positions_in(feed.rows(10, 4)) == [8]
    assert feed.rows(12, 10) == b""  # the latest pass gave none
    hidden.note(11, states(11))
    assert positions_in(feed.rows(13, 12)) == [11]


def test_only_the_latest_are_kept(hidden, feed):
    for position in range(200):
        hidden.note(position, states(position))
    assert positions_in(feed.rows(201, 0)) == list(range(136, 200))


def test_a_drafter_that_is_gone_asks_no_more(hidden, feed):
    feed.close()
    assert hidden.space(1) is None


@pytest.mark.parametrize("content", [b"abc", np.array([1, np.nan], "<f2").tobytes()])
def test_states_that_are_none_are_refused(content):
    with pytest.raises(InvalidRequest, match="hidden_states"):
        states_from_pb(pb.Advance(hidden_states=content), hidden_size=SIZE)
