"""Agreement of tiers: the matrix, and what drafters agree on, place by place."""

import math

import pytest

from tiercel.evaluation.agreement.pairs import pair_lines, tier_lines
from tiercel.evaluation.agreement.readings import (
    Reading,
    Sample,
    agree,
    bridged,
    reading,
    total_variation,
)
from tiercel.evaluation.agreement.votes import (
    agreed_answers,
    count_lines,
    votes,
)
from tiercel.scores import Choice, ScoredContinuation
from tiercel.tokenizer import Tokenizer
from tiercel.types import TokenLogprob


def letters(tokens: list[str]) -> Tokenizer:
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * len(tokens),
        "tokenizer.ggml.merges": [],
    }
    return Tokenizer.from_gguf(metadata.get)


def said(text: str, probs: float = 0.5, tops=None) -> Reading:
    """A letter in each place, a dot for nothing."""
    choices = tuple(None if one == "." else one.encode() for one in text)
    nothing = (None,) * len(text)
    return Reading(
        choices,
        tuple(None if one is None else probs for one in choices),
        nothing,
        nothing,
        tuple(tops or nothing),
    )


SAMPLES = [Sample("x", "code", (0, 1, 2, 3), 1.0), Sample("y", "maths", (0, 0, 0, 0), 0.0)]
READINGS = {
    "target": [said("abcd"), said("aaaa")],
    "one": [said("abxd", 0.9), said("bbb.", 0.2)],
    "two": [said("abc.", 0.7), said("bac.", 0.4)],
}
SAME = dict.fromkeys(READINGS, "v")


def test_tiers_are_compared_where_both_have_something_to_say():
    lines = {(line.one, line.other): line for line in pair_lines(READINGS, SAME)}
    assert set(lines) == {("one", "target"), ("one", "two"), ("target", "two")}
    assert (lines["one", "target"].num_places, lines["one", "target"].num_agreed) == (7, 3)
    assert lines["one", "two"].agreement == pytest.approx(3 / 6)
    assert lines["target", "two"].similarity is None
    one = next(line for line in tier_lines(READINGS) if line.tier == "one")
    assert one.num_places == 7
    assert one.mean_prob == pytest.approx((4 * 0.9 + 3 * 0.2) / 7)
    assert one.mean_entropy is None


def test_distributions_are_compared_by_what_both_tell():
    tops = [((0, math.log(0.5)), (1, math.log(0.5))), ((0, math.log(0.9)), (2, math.log(0.1)))]
    assert total_variation(*tops) == pytest.approx(0.4)  # 0.5 of the true one, at least
    assert total_variation(tops[0], tops[0]) == 0.0
    assert total_variation(tops[0], ((7, 0.0),)) == 0.0  # nothing is told of both
    pair = {"one": [said("a", tops=[tops[0]])], "two": [said("a", tops=[tops[1]])]}
    [line] = pair_lines(pair, dict.fromkeys(pair, "v"))
    assert (line.num_compared, line.similarity) == (1, pytest.approx(0.6))
    [foreign] = pair_lines(pair, {"one": "v", "two": "w"})
    assert foreign.num_compared == 0


def scored(ids: list[int], choices: list[int | None]) -> ScoredContinuation:
    return ScoredContinuation(
        tuple(ids),
        tuple(Choice(one, 0.5) for one in choices),
        tuple(TokenLogprob(one, -1.0, ((one, -1.0),)) for one in ids),
        (1.0,) * len(ids),
        (2.0,) * len(ids),
    )


def test_another_vocabulary_has_its_say_where_tokens_begin_alike():
    own, theirs = letters(["a", "b", "ab"]), letters(["ab", "a", "b", "ba"])
    # The target says ab|a|b in three tokens of its own, the other ab|a|b or a|ba|b.
    even = bridged(scored([0, 1, 2], [0, 3, None]), theirs, [2, 0, 1], own)
    assert even.choices == (b"ab", b"ba", None)
    assert even.probs == (0.5, 0.5, None)
    odd = bridged(scored([1, 3, 2], [1, 2, 2]), theirs, [2, 0, 1], own)
    assert odd.choices == (b"a", None, b"b")
    assert odd.tops == (None,) * 3
    assert agree(b"ab", b"a", alike=False)
    assert not agree(b"ab", b"a", alike=True)
    assert not agree(b"ab", b"", alike=False)
    plain = reading(scored([2, 0], [2, 1]), own)
    assert (plain.choices, plain.margins) == ((b"ab", b"b"), (2.0, 2.0))


def test_the_choice_of_most_drafters_is_held_against_the_target():
    found = votes(SAMPLES, READINGS, "target", SAME)
    first = [(one.num_agreeing, one.target_agrees) for one in found if one.sample == 0]
    assert first == [(2, True), (2, True), (1, False), (1, True)]
    second = [(one.num_agreeing, one.target_agrees) for one in found if one.sample == 1]
    assert second == [(2, False), (1, False), (1, False)]  # and nobody speaks at the end
    assert found[0].sureness == pytest.approx(0.8)
    lines = {(one.kind, one.num_agreeing): one for one in count_lines(found)}
    assert (lines["", 2].num_places, lines["", 2].num_target_agrees) == (3, 2)
    assert (lines["maths", 1].num_places, lines["maths", 1].num_target_agrees) == (2, 0)
    answers = agreed_answers(SAMPLES, found, 2)
    assert [(one.share, one.score) for one in answers] == [(0.5, 1.0), (0.0, 0.0)]


def test_foreign_drafters_join_those_that_say_the_same():
    readings = {"target": [said("a")], "far": [said("a")], "near": [said("a")]}
    readings["far"][0] = Reading((b"ab",), (0.5,), (None,), (None,), (None,))
    [vote] = votes([SAMPLES[0]], readings, "target", {"target": "v", "near": "v", "far": "w"})
    assert (vote.num_agreeing, vote.target_agrees) == (2, True)
