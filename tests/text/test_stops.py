import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel.errors import InvalidRequest
from tiercel.text import StopMatcher


def cut_at_stop(text: str, stops: list[str]) -> tuple[str, bool]:
    """The definition, on the whole text at once."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


def feed(matcher: StopMatcher, pieces: list[str]) -> tuple[str, bool]:
    shown = ""
    for piece in pieces:
        released, hit = matcher.push(piece)
        shown += released
        if hit:
            return shown, True
    return shown + matcher.flush(), False


# Two letters, so that stops overlap themselves, one another and the text.
letters = st.text("ab", max_size=24)
stop_lists = st.lists(st.text("ab", min_size=1, max_size=5), max_size=4)
piece_lists = st.lists(st.text("ab", max_size=6), max_size=8)


@settings(deadline=None, derandomize=True, max_examples=600)
@given(piece_lists, stop_lists)
def test_the_text_ends_where_the_definition_says_however_it_is_cut(pieces, stops):
    assert feed(StopMatcher(stops), pieces) == cut_at_stop("".join(pieces), stops)


@settings(deadline=None, derandomize=True, max_examples=250)
@given(letters, stop_lists)
def test_no_more_is_held_than_could_begin_a_stop_string(text, stops):
    matcher = StopMatcher(stops)
    shown = ""
    for index, character in enumerate(text):
        released, hit = matcher.push(character)
        shown += released
        if hit:
            break
        held = text[len(shown) : index + 1]
        assert held == "" or any(stop.startswith(held) and stop != held for stop in stops)


def test_a_stop_string_over_three_pieces_is_found_and_not_shown():
    matcher = StopMatcher(["</end>"])
    pushed = [matcher.push(piece) for piece in ("one </", "en", "d> two")]
    assert pushed == [("one ", False), ("", False), ("", True)]


def test_a_false_start_is_shown_as_soon_as_it_is_known_to_be_one():
    matcher = StopMatcher(["\n\nUser:"])
    assert matcher.push("a\n") == ("a", False)
    assert matcher.push("\n") == ("", False)
    assert matcher.push("Us all") == ("\n\nUs all", False)


def test_the_stop_string_that_is_complete_first_counts():
    assert StopMatcher(["abcd", "bc"]).push("xabcd") == ("xa", True)


def test_of_two_complete_at_the_same_character_the_longer_counts():
    assert StopMatcher(["c", "abc"]).push("xabc") == ("x", True)


def test_a_stop_string_that_begins_inside_a_failed_one_is_found():
    assert StopMatcher(["aab"]).push("aaab") == ("a", True)


def test_text_after_the_hit_is_dropped():
    matcher = StopMatcher(["."])
    assert matcher.push("one. two") == ("one", True)
    assert matcher.push("three") == ("", True)
    assert matcher.flush() == ""


def test_without_stop_strings_everything_is_shown_at_once():
    matcher = StopMatcher([])
    assert matcher.push("anything") == ("anything", False)
    assert matcher.flush() == ""


def test_a_matcher_can_be_used_again_after_its_end():
    matcher = StopMatcher(["abc"])
    matcher.push("xab")
    assert matcher.flush() == "ab"
    assert matcher.push("c ab") == ("c ", False)


@pytest.mark.parametrize("strings", [[""], ["a", ""]])
def test_an_empty_stop_string_is_refused(strings):
    with pytest.raises(InvalidRequest, match="stop"):
        StopMatcher(strings)
