import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiercel.text import Detokenizer

SPECIAL = 99
EVERY_WIDTH = "aé€𝄞"  # characters of one to four bytes


def detokenizer(pieces: list[bytes]) -> Detokenizer:
    """Token i has the bytes of pieces[i]; SPECIAL has bytes too, which are not text."""
    return Detokenizer(
        lambda token: b"<end>" if token == SPECIAL else pieces[token], lambda t: t == SPECIAL
    )


def decoded(pieces: list[bytes]) -> str:
    subject = detokenizer(pieces)
    return "".join(subject.push(i) for i in range(len(pieces))) + subject.flush()


# Bytes that are often nearly UTF-8: valid text, lead bytes, continuations, surrogates, overlongs.
messy = st.lists(
    st.one_of(
        st.binary(max_size=4),
        st.text(max_size=3).map(lambda text: text.encode()),
        st.sampled_from([b"\xf0\x9f", b"\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5"]),
    ),
    max_size=8,
)


@settings(deadline=None, derandomize=True, max_examples=250)
@given(messy)
def test_the_pieces_join_to_the_decoding_of_the_whole(pieces):
    assert decoded(pieces) == b"".join(pieces).decode(errors="replace")


def test_a_text_cut_in_two_at_every_byte_is_whole_again():
    whole = EVERY_WIDTH.encode()
    for cut in range(len(whole) + 1):
        assert decoded([whole[:cut], whole[cut:]]) == EVERY_WIDTH


def test_a_text_given_byte_by_byte_comes_out_character_by_character():
    pieces = [bytes([byte]) for byte in EVERY_WIDTH.encode()]
    subject = detokenizer(pieces)
    shown = [subject.push(i) for i in range(len(pieces))]
    assert shown == ["a", "", "é", "", "", "€", "", "", "", "𝄞"]
    assert subject.flush() == ""


def test_an_unfinished_character_is_held_and_becomes_a_replacement_at_the_end():
    subject = detokenizer(["€".encode()[:2]])
    assert subject.push(0) == ""
    assert subject.flush() == "\ufffd"
    assert subject.flush() == ""


def test_bytes_that_can_be_no_character_are_shown_as_replacements_at_once():
    assert detokenizer([b"\xff"]).push(0) == "\ufffd"
    assert detokenizer([b"\xc3("]).push(0) == "\ufffd("


def test_special_tokens_add_no_text_and_end_no_character():
    first, second = "é".encode()[:1], "é".encode()[1:]
    subject = detokenizer([first, second])
    assert [subject.push(token) for token in (SPECIAL, 0, SPECIAL, 1, SPECIAL)] == [
        *("", "", "", "é", "")
    ]


@pytest.mark.parametrize("tail", [b"\xf0", b"\xf0\x9d", b"\xf0\x9d\x84"])
def test_decoding_every_token_alone_would_be_wrong(tail):
    """The control: what holding back is for."""
    rest = "𝄞".encode()[len(tail) :]
    alone = "".join(piece.decode(errors="replace") for piece in (tail, rest))
    assert alone != "𝄞" == decoded([tail, rest])
