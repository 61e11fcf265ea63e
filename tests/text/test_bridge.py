"""The vocabulary bridge on two real tokenizers, one property at a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.text.vocabularies import drafter, joined, parent, special, texts
from tiercel.text import Bridge, Told


@given(text=texts, cuts=st.lists(st.integers(1, 5), max_size=30))
@settings(max_examples=100, deadline=None)
def test_a_text_is_told_as_its_tokenizer_spells_it(text: str, cuts: list[int]) -> None:
    text = text.replace("\x00", "").replace("\x01", "")
    tokens = parent().encode(text)
    bridge = Bridge(parent(), drafter())
    while tokens:
        width = cuts.pop() if cuts else 3
        bridge.append(tokens[:width])
        del tokens[:width]
    expected = drafter().encode(text)
    if joined(drafter(), expected) == text.encode():  # not if that would be normalised
        assert bridge.told == expected


@given(text=texts, width=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_an_accepted_draft_is_never_cut(text: str, width: int) -> None:
    """The parent takes all of every draft: the drafter's own tokens stay as they are."""
    run = drafter().spell(text.replace("\x00", "").replace("\x01", "").encode())
    assert run is not None
    bridge, done = Bridge(parent(), drafter()), 0
    while done < len(run):
        told = bridge.append(bridge.draft(run[done : done + width]).token_ids, run[done:])
        assert told.keep_length == done
        assert list(told.token_ids) == run[done : done + len(told.token_ids)]
        if not told.token_ids:
            width += 1  # the draft ends inside a character, or inside a token of the parent's
        done += len(told.token_ids)


@given(text=texts)
@settings(max_examples=100, deadline=None)
def test_a_draft_says_in_the_parents_tokens_what_it_says(text: str) -> None:
    text = text.replace("\x00", "").replace("\x01", "")
    run = drafter().spell(text.encode())
    assert run is not None
    draft = Bridge(parent(), drafter()).draft(run)
    assert joined(parent(), draft.token_ids) == text.encode()


def test_a_draft_says_in_which_token_of_the_drafters_each_begins() -> None:
    bridge = Bridge(parent(), drafter())
    run = drafter().encode("there 12 the")
    draft = bridge.draft(run)
    ends, offset = [], 0
    for token_id in run:
        offset += len(drafter().token_bytes(token_id))
        ends.append(offset)
    offset = 0
    for token_id, origin in zip(draft.token_ids, draft.origins, strict=True):
        assert offset < ends[origin] and (not origin or offset >= ends[origin - 1])
        offset += len(parent().token_bytes(token_id))


def test_a_token_beyond_the_text_waits_and_is_kept() -> None:
    bridge = Bridge(parent(), drafter())
    run = drafter().encode("你好世界")
    first, *rest = parent().encode("你好世界")
    told = bridge.append([first], run)
    assert told == Told(0, ()) and bridge.pending
    assert bridge.draft(run).token_ids == tuple(rest)
    assert bridge.append(rest, run) == Told(0, tuple(run))


def test_a_wrong_draft_is_cut_at_the_word_that_differs() -> None:
    bridge = Bridge(parent(), drafter())
    run = drafter().encode("the end, their end")
    told = bridge.append(parent().encode("the end, there"), run)
    assert drafter().decode(told.token_ids) == "the end, there"
    assert list(told.token_ids) == drafter().encode("the end, there")


@pytest.mark.parametrize(
    ("drafted", "expected"),
    [("</s>", "<|im_end|>"), ("<|file|>", "<|file|>"), ("<fim>", None), ("<s>", None)],
)
def test_special_tokens_have_counterparts_by_text_or_role(
    drafted: str, expected: str | None
) -> None:
    bridge = Bridge(parent(), drafter())
    run = [*drafter().encode("the end"), special(drafter(), drafted), *drafter().encode("then")]
    tokens = list(bridge.draft(run).token_ids)
    before = parent().encode("the end")
    if expected is None:
        assert tokens == before
    else:
        assert tokens == [*before, special(parent(), expected), *parent().encode("then")]


def test_the_text_of_a_special_token_is_no_special_token() -> None:
    bridge = Bridge(parent(), drafter())
    literal = parent().encode("<|file|>")
    bridge.append([*literal, special(parent(), "<|file|>"), special(parent(), "<tool>")])
    assert bridge.told == [
        *drafter().encode("<|file|>"),
        special(drafter(), "<|file|>"),
        *drafter().encode("<tool>"),
    ]
    [tokens] = {bridge.draft(drafter().encode("<|file|>")).token_ids}
    assert list(tokens) == literal


def test_behind_bytes_that_cannot_be_spelled_nothing_is_told_or_drafted() -> None:
    bridge = Bridge(parent(), drafter())
    tokens = parent().encode("the end\x00 of")
    bridge.append(tokens)
    assert drafter().decode(bridge.told) == "the end"
    assert bridge.pending == b"\x00 of"
    assert bridge.draft(drafter().encode(" of the")).token_ids == ()
    bridge.cut(len(parent().encode("the end")))
    assert bridge.pending == b""
    assert bridge.draft(drafter().encode(" of")).token_ids == tuple(parent().encode(" of"))


def test_an_unfinished_character_waits_for_its_end() -> None:
    eagle = parent().encode("🦅")
    assert len(eagle) > 1
    bridge = Bridge(parent(), drafter())
    bridge.append(eagle[:1])
    assert bridge.told == [] and bridge.pending
    assert joined(parent(), bridge.draft(drafter().encode("🦅 ")).token_ids).endswith(b" ")
    bridge.append(eagle[1:])
    assert bridge.told == drafter().encode("🦅")


@given(text=texts)
@settings(max_examples=100, deadline=None)
def test_tokens_stand_for_each_token_of_the_draft_once(text: str) -> None:
    run = drafter().spell(text.replace("\x00", "").replace("\x01", "").encode())
    assert run is not None
    draft = Bridge(parent(), drafter()).draft(run)
    assert [place for share in draft.shares for place in share] == list(range(len(run)))
    for token_id, share in zip(draft.token_ids, draft.shares, strict=True):
        begins = joined(drafter(), run[share.start :])
        assert not share or begins.startswith(parent().token_bytes(token_id))


def test_a_long_word_is_not_told_again_and_again() -> None:
    bridge = Bridge(parent(), drafter())
    for character in "ab" * 1000:
        told = bridge.append(parent().encode(character))
        assert len(told.token_ids) <= 130
    assert joined(drafter(), bridge.told) == b"ab" * 1000


def test_a_span_stands_at_its_first_token() -> None:
    [the] = drafter().encode(" the")
    run = [the, *drafter().encode(".")]
    draft = Bridge(parent(), drafter()).draft(run)
    pieces = [parent().token_bytes(token_id) for token_id in draft.token_ids]
    assert b"".join(pieces) == b" the."
    assert draft.shares[0] == range(0, 1) and draft.shares[-1] == range(1, 2)
    inside = [not share for share in draft.shares]
    assert [place > 0 for place in draft.span_places] == inside
    assert draft.origins[-1] == 1
