"""Drafts of another vocabulary under rules that weigh how they were drawn: exact all the same."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from tests.decoding.chains import judge, law, model
from tests.decoding.enumeration import outcomes, variation
from tests.speculation.tiny_vocabularies import (
    DRAFTERS,
    PARENT,
    TinyVocabulary,
    decode_foreign,
    intersection,
)
from tests.text import vocabularies
from tests.text.vocabularies import joined, special, texts
from tiercel.decoding import TokenDistribution, judge_together, renamed
from tiercel.decoding.verdict import Leeway
from tiercel.errors import InvalidRequest
from tiercel.speculation import bridged_sequence
from tiercel.text import Intersection
from tiercel.text.translation import translate
from tiercel.types import Rule

EXACT = 1e-12
TRUTH, OTHER = model(12, scale=1.5), model(52, scale=1.5)
RULES = pytest.mark.parametrize("rule", [Rule.REJECTION, Rule.BLOCK])


@RULES
@pytest.mark.parametrize("drafter", DRAFTERS, ids=["some", "more", "none"])
@pytest.mark.parametrize(("length", "count"), [(1, 2), (2, 1), (3, 1)])
def test_tokens_follow_the_target(rule, drafter, length, count):
    found = outcomes(decode_foreign(TRUTH, drafter, OTHER, judge(rule), length, count))
    assert sum(found.values()) == pytest.approx(1, abs=EXACT)
    assert variation(found, law(TRUTH, count)) < EXACT


def test_what_the_drafter_ran_ahead_with_is_kept_and_nothing_else():
    found = outcomes(decode_foreign(TRUTH, DRAFTERS[0], OTHER, judge(Rule.BLOCK), 2, 2))
    assert variation(found, law(TRUTH, 2)) < EXACT


def biased(rule: Rule) -> float:
    def unchecked(draft, held, numbers):
        return judge_together(rule, [draft], [held], Leeway(1.0, numbers))[1]

    found = outcomes(decode_foreign(TRUTH, DRAFTERS[0], OTHER, unchecked, 2, 1))
    return variation(found, law(TRUTH, 1))


@RULES
def test_probabilities_that_are_not_shared_out_are_seen(rule, monkeypatch: pytest.MonkeyPatch):
    """Each token has the probability that it had in the drafter's vocabulary."""

    def as_it_was(drawn: TokenDistribution, ids) -> TokenDistribution:
        kept = renamed(drawn, ids)
        left = drawn.shares[ids[drawn.token_ids] < 0].sum()
        probs = np.append(kept.shares * (1 - left), left)
        return TokenDistribution(np.append(kept.token_ids, 99), probs)

    monkeypatch.setattr(bridged_sequence, "renamed", as_it_was)
    assert biased(rule) > 0.02


@RULES
def test_tokens_that_are_the_same_by_what_follows_them_are_seen(
    rule, monkeypatch: pytest.MonkeyPatch
):
    """The run is spelled as a whole, and what then is one token in both counts as drawn."""

    def as_a_whole(self, run, *, known):
        found = translate(run, self._drafter, PARENT, known=known)
        parts = zip(found.token_ids, found.shares, strict=True)
        same = (share.start if len(share) == 1 else None for _, share in parts)
        pairs = zip(found.token_ids, same, strict=True)
        fitting = (
            place if place is not None and self.ids[run[place]] == token_id else None
            for token_id, place in pairs
        )
        return replace(found, same_as=tuple(fitting))

    monkeypatch.setattr(Intersection, "translate", as_a_whole)
    assert biased(rule) > 0.02


def test_a_token_of_both_stays_one_and_the_rest_is_spelled():
    some = intersection(DRAFTERS[0])
    assert some.ids.tolist() == [1, 0, -1]
    assert some.share == pytest.approx(2 / 3)
    found = some.translate([1, 0, 2, 2, 1], known=b"")
    assert found.token_ids == (
        0,
        1,
        1,
        2,
        0,
        0,
    )  # a b (b ab a) a
    assert found.same_as == (0, 1, None, None, None, 4)
    assert found.origins == (0, 1, 2, 2, 3, 4)


@pytest.mark.parametrize(
    ("known", "expected", "same_as"),
    [
        (b"b", (0, 1), (None, 1)),  # the rest of a token that is known in part is but a spelling
        (b"ba", (1,), (1,)),
        (b"bab", (), ()),
        (b"bb", (), ()),
        (b"babb", (), ()),
    ],
)
def test_what_is_known_is_not_said_again(known, expected, same_as):
    found = intersection(DRAFTERS[0]).translate([2, 0], known=known)
    assert (found.token_ids, found.same_as) == (expected, same_as)


def test_an_end_is_the_end_whatever_it_is_called():
    ours = TinyVocabulary(b"a", b"b", end=b"<end>")
    theirs = TinyVocabulary(b"b", b"a", end=b"</s>")
    both = intersection(theirs, ours)
    assert both.ids.tolist() == [1, 0, 2]
    assert both.translate([0, 2, 1], known=b"").token_ids == (1, 2, 0)
    assert both.translate([0, 2, 1], known=b"").same_as == (0, 1, 2)
    without = intersection(theirs, TinyVocabulary(b"a", b"b"))
    assert without.translate([0, 2, 1], known=b"").token_ids == (1,)
    assert both.translate([2], known=b"<").token_ids == ()


def test_probabilities_are_shared_out_over_what_has_an_id():
    drawn = TokenDistribution.of([1, 2, 4, 7], [0.1, 0.2, 0.3, 0.4])
    found = renamed(drawn, np.array([0, 5, 3, 0, 5, 0, 0, -1]))
    assert found.token_ids.tolist() == [3, 5]
    assert found.shares == pytest.approx([1 / 3, 2 / 3], abs=1e-7)
    with pytest.raises(InvalidRequest, match="none has an id"):
        renamed(drawn, np.full(8, -1))


@given(texts, texts)
def test_the_text_is_that_of_the_run_with_real_splitting_patterns(text, tail):
    parent, drafter = vocabularies.parent(), vocabularies.drafter()
    both = Intersection(
        drafter, parent, drafter_size=drafter.vocab_size + 3, parent_size=parent.vocab_size
    )
    run = drafter.encode(text)[:40] + drafter.encode(tail)[:20]
    found = both.translate(run, known=b"")
    said, whole = joined(parent, found.token_ids), joined(drafter, run)
    assert whole.startswith(said) and len(whole) - len(said) < 4
    for token_id, place in zip(found.token_ids, found.same_as, strict=True):
        if place is not None:
            assert parent.token_bytes(token_id) == drafter.token_bytes(run[place])
    kept = [place for place in found.same_as if place is not None]
    assert kept == [place for place, token_id in enumerate(run) if both.ids[token_id] >= 0]


def test_marks_are_the_same_by_their_text_or_as_ends():
    parent, drafter = vocabularies.parent(), vocabularies.drafter()
    both = Intersection(
        drafter, parent, drafter_size=drafter.vocab_size, parent_size=parent.vocab_size
    )
    assert both.ids[special(drafter, "<|file|>")] == special(parent, "<|file|>")
    assert both.ids[special(drafter, "</s>")] == special(parent, "<|im_end|>")
    assert both.ids[special(drafter, "<fim>")] == -1
