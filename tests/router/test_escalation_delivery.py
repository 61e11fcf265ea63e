"""What is sent of answers that overrule each other: a client ends with the last one, whole.

Scripts are drawn at random: plans of two vocabularies, beginnings in common, any cut into messages.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.cascade.delivery import Delivering, Held, Streamed
from services.router.cascade.revising import Revised
from tiercel.replies import Committed, Revise, StageDecision
from tiercel.types import Replacement, Span, TokenLogprob

DECISION = StageDecision(0, 8, "small", "large", 1.0, 0.1, 2.0, "because")
# By vocabulary: what each token says. Some say nothing yet, some the same in other ids.
WORDS = {"one": ["a", "b", "ab", ""], "other": ["b", "a", "c", "ba"]}


@dataclass(frozen=True)
class Said:
    """A plan's whole answer, and how it comes."""

    words: str
    token_ids: tuple[int, ...]
    tail: str
    sizes: tuple[int, ...]  # of the messages; the last goes on for all that is left

    @property
    def text(self) -> str:
        return "".join(WORDS[self.words][token] for token in self.token_ids) + self.tail

    def messages(self) -> list[Committed]:
        found, start = [], 0
        for size in (*self.sizes, len(self.token_ids)):
            ids = self.token_ids[start : start + size]
            if ids:
                found.append(message(self.words, ids, start))
            start += size
        tail = Committed(len(self.token_ids), (), self.tail, ())
        return [*found, tail] if self.tail else found


def message(words: str, ids: tuple[int, ...], start: int, **fields) -> Committed:
    texts = [WORDS[words][token] for token in ids]
    lengths = tuple(len(text) for text in texts)
    return Committed(start, ids, "".join(texts), (Span(words, len(ids)),), lengths, **fields)


@dataclass
class Client:
    """What somebody holds who does as the messages say."""

    token_ids: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    text: str = ""
    revisions: list[Revise] = field(default_factory=list)

    def take(self, parts) -> None:
        for part in parts:
            if isinstance(part, Revise):
                self._revise(part)
            else:
                assert part.position == len(self.token_ids), "a token is missing or came twice"
                self.token_ids += part.token_ids
                self.sources += [one.tier for one in part.spans for _ in range(one.num_tokens)]
                self.text += part.text
            assert len(self.sources) == len(self.token_ids)

    def _revise(self, part: Revise) -> None:
        assert part.from_position <= len(self.token_ids)
        assert part.text_length <= len(self.text)
        takes_back = part.from_position < len(self.token_ids) or part.text_length < len(self.text)
        assert takes_back, "a revision of nothing"
        del self.token_ids[part.from_position :], self.sources[part.from_position :]
        self.text = self.text[: part.text_length]
        self.revisions.append(part)

    @property
    def holds(self) -> tuple[list[int], str]:
        return self.token_ids, self.text


def saids() -> st.SearchStrategy[Said]:
    return st.builds(
        Said,
        words=st.sampled_from(sorted(WORDS)),
        # Few tokens, so that answers often begin alike.
        token_ids=st.lists(st.sampled_from([0, 0, 0, 1, 2, 3]), max_size=6).map(tuple),
        tail=st.sampled_from(["", "", "b"]),
        sizes=st.lists(st.integers(1, 3), max_size=4).map(tuple),
    )


Overruled = tuple[Said, int]  # and after how many messages


def played(
    delivery: Delivering, before: list[Overruled], last: Said, *, certain: bool
) -> tuple[Client, list[int]]:
    """Return the client, and how many tokens it held whenever a plan was overruled."""
    client, held = Client(), []
    for said, count in before:
        for one in said.messages()[:count]:
            client.take(delivery.take(one, said.words))
        held.append(len(client.token_ids) + len(client.text))
        delivery.overruled(DECISION)
    if certain:
        client.take(delivery.certain())
    for one in last.messages():
        client.take(delivery.take(one, last.words))
    client.take(delivery.over())
    return client, held


SCRIPTS = st.lists(st.tuples(saids(), st.integers(0, 5)), max_size=3)


@given(SCRIPTS, saids(), st.booleans())
def test_with_revisions_a_client_ends_with_the_last_answer(before, last, certain) -> None:
    client, _ = played(Revised(), before, last, certain=certain)
    assert client.holds == (list(last.token_ids), last.text)


@given(SCRIPTS, saids(), st.booleans())
def test_held_answers_are_sent_once_and_only_the_last_one(before, last, certain) -> None:
    client, held = played(Held(), before, last, certain=certain)
    assert client.holds == (list(last.token_ids), last.text)
    assert not any(held) and not client.revisions


@given(saids(), st.integers(0, 6), saids())
def test_what_agrees_is_not_taken_back(first, count, more) -> None:
    whole = Said(first.words, first.token_ids + more.token_ids, more.tail, more.sizes)
    client, held = played(Revised(), [(first, count)], whole, certain=True)
    has_tail = first.tail and count >= len(first.messages())
    if not has_tail:  # which what follows may contradict
        assert not client.revisions and held[0] <= len(whole.token_ids) + len(whole.text)


@given(SCRIPTS, saids())
def test_a_router_that_forgets_to_compare_is_seen(before, last) -> None:
    """The negative control: a client that is sent all of it again would hold too much."""

    class Forgetful(Revised):
        def overruled(self, decision: StageDecision) -> None:
            pass

    said = [one for one in before if one[1] and one[0].token_ids]
    if not said or not last.token_ids:
        return
    with pytest.raises(AssertionError, match="came twice"):
        played(Forgetful(), said, last, certain=True)


def test_other_log_probabilities_are_sent_again() -> None:
    delivery, client = Revised(), Client()
    ours, theirs = ((TokenLogprob(0, value),) for value in (-1.0, -2.0))
    client.take(delivery.take(message("one", (0,), 0, logprobs=ours), "one"))
    delivery.overruled(DECISION)
    [revise, again] = delivery.take(message("one", (0,), 0, logprobs=theirs), "one")
    assert (revise.from_position, revise.text_length, revise.decision) == (0, 0, DECISION)
    assert again.logprobs == theirs


def test_a_message_is_cut_where_it_differs() -> None:
    delivery = Revised()
    delivery.take(message("one", (0, 1, 0), 0), "one")
    delivery.overruled(DECISION)
    replaced = tuple(Replacement(place, 0, 0.5, 1, 0.5) for place in (1, 2))
    spans = (Span("x", 1), Span("y", 2), Span("z", 1))
    late = message("one", (0, 1, 2, 1), 0, replacements=replaced)
    late = Committed(**vars(late) | {"spans": spans})
    [revise, rest] = delivery.take(late, "one")
    assert (revise.from_position, revise.text_length) == (2, 2)
    assert (rest.position, rest.token_ids, rest.text) == (2, (2, 1), "abb")
    assert (rest.text_lengths, rest.spans) == ((2, 1), (Span("y", 1), Span("z", 1)))
    assert rest.replacements == replaced[1:]


def test_lengths_that_say_nothing_lose_no_text() -> None:
    delivery, client = Revised(), Client()
    bare = Committed(0, (0, 1), "ab", (Span("one", 2),))
    client.take(delivery.take(bare, "one"))
    delivery.overruled(DECISION)
    client.take(delivery.take(message("one", (0, 1, 1), 0), "one"))
    assert client.holds == ([0, 1, 1], "abb")


def test_what_is_streamed_stands() -> None:
    delivery = Streamed()
    one = message("one", (0,), 0)
    assert (delivery.take(one, "one"), delivery.certain(), delivery.over()) == ((one,), (), ())
    assert not delivery.can_change
    with pytest.raises(AssertionError):
        delivery.overruled(DECISION)


def test_what_was_held_can_be_overruled_until_something_was_sent() -> None:
    delivery = Held()
    delivery.take(message("one", (0,), 0), "one")
    assert delivery.can_change
    assert len(delivery.certain()) == 1
    assert not delivery.can_change
