"""The vocabulary bridge on two real tokenizers: bytes are what must never differ."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.text.vocabularies import CORPUS, MISSING, drafter, parent
from tiercel.text import Bridge, Told
from tiercel.tokenizer import Tokenizer

WORDS = ["the", " there", " inter", "nation", "al", " 12", "34", "  ", "\r\n", "\n\n  ", "'s", "."]
WORDS += [
    "你好",
    "\uff0c世界。",
    "🙂🏽",
    "e\u0301",
    "\u0301",
    " café",
    "def f(x):",
    "<|im_end|>",
    " ",
    "\x00",
]
texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
    st.text(max_size=20),
    st.integers(0, len(CORPUS) - 60).map(lambda start: CORPUS[start : start + 60]),
)
# With ids at random characters are split, special tokens come up, and bytes that are no text.
parents_tokens = st.one_of(
    texts.map(lambda text: parent().encode(text)),
    st.lists(st.integers(0, parent().vocab_size - 1), max_size=8),
)
drafters_tokens = st.one_of(
    texts.map(lambda text: drafter().encode(text)),
    st.lists(st.integers(0, drafter().vocab_size + 2), max_size=8),
)


class Followers(RuleBasedStateMachine):
    """A bridge, and the sequence of a drafter that does what the bridge says."""

    def __init__(self) -> None:
        super().__init__()
        self.bridge = Bridge(parent(), drafter())
        self.tokens: list[int] = []
        self.shadow: list[int] = []
        self.has_drafted = False

    @rule(tokens=parents_tokens)
    def append(self, tokens: list[int]) -> None:
        self.tokens += tokens
        self.take(self.bridge.append(tokens))

    @rule(run=drafters_tokens, num_rejected=st.integers(0, 3), other=parents_tokens)
    def draft(self, run: list[int], num_rejected: int, other: list[int]) -> None:
        """The parent takes the beginning of a draft and goes on in its own way."""
        translated = self.bridge.draft(run)
        tokens = list(translated.token_ids)
        tokens = tokens[: max(0, len(tokens) - num_rejected)] + other
        self.has_drafted = True
        self.tokens += tokens
        self.take(self.bridge.append(tokens, run))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        length = data.draw(st.integers(0, len(self.tokens)))
        del self.tokens[length:]
        self.take(self.bridge.cut(length))

    def take(self, told: Told) -> None:
        assert told.keep_length <= len(self.shadow)
        assert self.shadow[told.keep_length :][:1] != list(told.token_ids[:1]) or not told.token_ids
        self.shadow = [*self.shadow[: told.keep_length], *told.token_ids]

    @invariant()
    def the_drafter_has_the_parents_bytes(self) -> None:
        assert self.shadow == self.bridge.told
        assert self.bridge.num_parent_tokens == len(self.tokens)
        assert joined(drafter(), self.shadow) + self.bridge.pending == joined(parent(), self.tokens)

    @invariant()
    def special_tokens_are_what_they_are(self) -> None:
        theirs = specials(drafter(), self.shadow)
        assert theirs <= specials(parent(), self.tokens)
        if not self.bridge.pending:
            known = {mark for mark in specials(parent(), self.tokens) if mark[1] == b"<|file|>"}
            assert known <= theirs

    @invariant()
    def little_is_pending(self) -> None:
        if not self.has_drafted and not any(byte in MISSING for byte in self.bridge.pending):
            assert len(self.bridge.pending) <= 3

    @invariant()
    def state_is_a_function_of_the_tokens(self) -> None:
        if not self.has_drafted:
            fresh = Bridge(parent(), drafter())
            fresh.append(self.tokens)
            assert fresh.told == self.bridge.told


Followers.TestCase.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
TestFollowers = Followers.TestCase


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


@given(text=texts, length=st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_what_is_not_held_stays_whatever_follows(text: str, length: int) -> None:
    text = text.replace("\x00", "").replace("\x01", "")
    run = drafter().spell(text.encode())
    assert run is not None
    bridge = Bridge(parent(), drafter())
    held, sent = bridge.draft(run[:length], hold=True), bridge.draft(run[:length])
    assert sent.token_ids[: len(held.token_ids)] == held.token_ids
    whole = bridge.draft(run)
    assert whole.token_ids[: len(held.token_ids)] == held.token_ids
    assert joined(parent(), whole.token_ids) == text.encode()


def test_a_draft_that_may_go_on_in_the_same_token_can_be_held() -> None:
    bridge = Bridge(parent(), drafter())
    [the] = drafter().encode(" the")
    assert parent().decode(bridge.draft([the]).token_ids) == " the"
    assert bridge.draft([the], hold=True).token_ids == ()


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


def joined(tokenizer: Tokenizer, token_ids: Sequence[int]) -> bytes:
    return b"".join(map(tokenizer.token_bytes, token_ids))


def special(tokenizer: Tokenizer, text: str) -> int:
    token_id = tokenizer.special_id(text.encode())
    assert token_id is not None
    return token_id


def specials(tokenizer: Tokenizer, token_ids: Sequence[int]) -> set[tuple[int, bytes]]:
    """Return the special tokens among these with their offsets."""
    found, offset = set(), 0
    for token_id in token_ids:
        data = tokenizer.token_bytes(token_id)
        if data and tokenizer.is_special(token_id):
            found.add((offset, data))
        offset += len(data)
    return found
