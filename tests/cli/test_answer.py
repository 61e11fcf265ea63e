"""The text of an answer is cut by token, wherever the text lags behind the tokens."""

import pytest

from tiercel.cli.answer import Answer, Piece
from tiercel.replies import Committed, Revise, StageDecision
from tiercel.types import Span

BOTH = (Span("target", 1), Span("draft", 2))


def committed(text, spans=BOTH, lengths=(), first=0):
    number = sum(span.num_tokens for span in spans)
    return Committed(first, tuple(range(first, first + number)), text, spans, lengths)


def test_a_message_is_cut_by_the_lengths_in_characters():
    parts = Answer().add(committed("aé日b", lengths=(1, 2, 1)))
    assert parts == [Piece("target", "a"), Piece("draft", "é日"), Piece("draft", "b")]


def test_text_without_tokens_goes_to_the_tier_of_the_last_token():
    answer = Answer()
    answer.add(committed("ab", lengths=(1, 1, 0)))
    assert answer.add(committed("c", spans=())) == [Piece("draft", "c", 0)]
    assert answer.text == "abc"
    assert sum(piece.num_tokens for piece in answer.pieces) == 3


@pytest.mark.parametrize("lengths", [(), (1,), (1, 1, 0), (9, 9, 9)])
def test_no_text_and_no_token_is_lost_when_the_lengths_do_not_add_up(lengths):
    answer = Answer()
    answer.add(committed("abcd", lengths=lengths))
    assert answer.text == "abcd"
    assert sum(piece.num_tokens for piece in answer.pieces) == 3


def test_runs_join_neighbours_of_one_tier():
    answer = Answer()
    answer.add(committed("abc", lengths=(1, 1, 1)))
    answer.add(committed("d", spans=(Span("draft", 1),), lengths=(1,), first=3))
    assert answer.runs() == [Piece("target", "a", 1), Piece("draft", "bcd", 3)]


def test_what_is_taken_back_is_gone_and_what_stands_stays():
    stage = StageDecision(0, 3, "small", "big", 1.0, 0.1, 0.2, "")
    answer = Answer()
    answer.add(committed("abcd", lengths=(1, 1, 2)))
    assert answer.add(Revise(2, 1, stage)) == []
    assert answer.text == "a", "the second token's text is held back by its new sender"
    assert answer.token_ids == [0, 1]
    assert sum(piece.num_tokens for piece in answer.pieces) == 2
    answer.add(committed("xyz", first=2, lengths=(1, 1, 1)))
    assert answer.text == "axyz"
    assert answer.token_ids == [0, 1, 2, 3, 4]
    answer.add(Revise(0, 0, stage))
    assert (answer.text, answer.token_ids, answer.pieces) == ("", [], [])
