"""Whatever a parent and its drafter do, a bridge between them never changes a byte."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.text.vocabularies import MISSING, drafter, joined, parent, specials, texts
from tiercel.text import Bridge, Told

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
