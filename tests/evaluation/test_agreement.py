"""Agreement of tiers: the matrix, the calibration, and what the curves say of known truths."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tiercel.errors import InvalidRequest
from tiercel.evaluation.agreement.figures import draw_matrix, draw_reliability
from tiercel.evaluation.agreement.fitting import expected, fitted, isotonic
from tiercel.evaluation.agreement.pairs import pair_lines, tier_lines
from tiercel.evaluation.agreement.readings import (
    Reading,
    Sample,
    agree,
    bridged,
    reading,
    total_variation,
)
from tiercel.evaluation.agreement.recorded import recorded_samples
from tiercel.evaluation.agreement.reliability import (
    acceptance_curves,
    correctness_curves,
    rank_chance,
)
from tiercel.evaluation.agreement.votes import (
    AgreedAnswer,
    Vote,
    agreed_answers,
    count_lines,
    votes,
)
from tiercel.evaluation.matrix import CellsManifest, CellStore, TierIdentity
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import SETS
from tiercel.scores import Choice, ScoredContinuation
from tiercel.tokenizer import Tokenizer
from tiercel.types import FinishReason, TokenLogprob


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


def drawn(count: int, *, truth, seed: int = 0, kind: str = "") -> list[Vote]:
    """Votes of which the target agrees with so much of a probability."""
    rng = random.Random(seed)
    surenesses = [rng.random() for _ in range(count)]
    return [
        Vote(number // 10, kind, 2, sure, rng.random() < truth(sure))
        for number, sure in enumerate(surenesses)
    ]


def test_the_fit_finds_the_probability_that_the_votes_were_drawn_with():
    found = drawn(4000, truth=lambda sure: sure) + drawn(
        1000, truth=lambda sure: 0.1, seed=1, kind="hard"
    )
    table = fitted(found, target="target", drafters=("one", "two"), measured_on="draws")
    for sure in (0.15, 0.45, 0.85):
        own = 0.8 * sure + 0.2 * 0.1
        assert table.prob("", 2, [sure]) == pytest.approx(own, abs=0.09)
        assert table.prob("hard", 2, [sure]) == pytest.approx(0.1, abs=0.06)
    assert table.prob("", 1, [1.0]) == 0.0
    assert table.of(table.to_json().encode()) == table


def test_few_votes_are_never_certain_and_kinds_with_few_have_no_bins():
    table = fitted([Vote(0, "rare", 2, 0.5, True)] * 30, target="t", drafters=())
    assert set(table.kinds) == {""}
    assert 0.9 < table.prob("rare", 2, [0.5]) < 1


def test_isotonic_regression_pools_what_falls():
    assert isotonic([0.1, 0.5, 0.3, 0.9], [1, 1, 3, 1]) == [0.1, 0.35, 0.35, 0.9]
    assert isotonic([0.9, 0.5, 0.1], [1, 1, 1]) == pytest.approx([0.5] * 3)
    rng = random.Random(4)
    rates, weights = [rng.random() for _ in range(40)], [rng.randint(1, 9) for _ in range(40)]
    fit = isotonic(rates, weights)
    assert fit == sorted(fit)
    means = [sum(map(math.prod, zip(each, weights, strict=True))) for each in (rates, fit)]
    assert means[0] == pytest.approx(means[1])


def test_forecasts_come_from_other_answers():
    found = [Vote(sample, "", 2, 0.5, sample == 0) for sample in (0, 1) for _ in range(50)]
    assert all((prob < 0.1) == (vote.sample == 0) for vote, prob in expected(found))


def test_curves_show_whether_forecasts_come_true(monkeypatch: pytest.MonkeyPatch):
    found = drawn(4000, truth=lambda sure: sure)
    [good] = acceptance_curves(found, 2)
    assert good.count == 4000 and good.error < 0.04
    assert all(point.low <= point.observed <= point.high for point in good.points)
    # The negative control: forecasts that are turned round are seen.
    turned = [(vote, 1 - prob) for vote, prob in expected(found)]
    monkeypatch.setattr("tiercel.evaluation.agreement.reliability.expected", lambda votes: turned)
    [bad] = acceptance_curves(found, 2)
    assert bad.error > 0.3
    assert acceptance_curves(found, 3) == []


def test_scores_of_answers_by_how_much_was_agreed_on():
    told = [AgreedAnswer("ab"[n % 2], n / 40, float(n > 20)) for n in range(40)]
    curves = correctness_curves(told)
    assert [curve.kind for curve in curves] == ["", "a", "b"]
    observed = [point.observed for point in curves[0].points]
    assert observed == sorted(observed) and observed[0] == 0 and observed[-1] == 1
    assert rank_chance(told) == 1.0
    assert rank_chance([AgreedAnswer("", 0.5, 1.0), AgreedAnswer("", 0.5, 0.0)]) == 0.5
    assert rank_chance(told[:5]) is None
    assert correctness_curves(told[:7]) == []


def test_pictures_are_drawn(tmp_path):
    lines = pair_lines(READINGS, SAME)
    draw_matrix(list(READINGS), lines, tmp_path / "matrix.svg")
    curves = acceptance_curves(drawn(400, truth=lambda sure: sure), 2)
    right = correctness_curves([AgreedAnswer("", n / 40, float(n > 20)) for n in range(40)])
    draw_reliability(curves, right, tmp_path / "curves.svg")
    draw_reliability(curves, [], tmp_path / "one.png")
    for name in ("matrix.svg", "curves.svg"):
        assert "<svg" in (tmp_path / name).read_text()
    assert (tmp_path / "one.png").stat().st_size > 1000


def recorded(tmp_path: Path, **fields) -> list[Sample]:
    rows = [{"id": f"q{number}", "prompt": f"Who {number}?"} for number in range(3)]
    data = tmp_path / "nq_open_dev.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows))
    items = SETS["nq_open_dev"].read(tmp_path).items
    identity = TierIdentity(
        model="m", engine="e", dtype="d", weights_digest="w", tokenizer_fingerprint="v"
    )
    manifest = CellsManifest(
        column="big", set_name="nq_open_dev", data_digest="", set_digest="", tiers={"big": identity}
    )
    told = [
        Outcome(item.id, item.prompt_hash, "n", (5, number), FinishReason.LENGTH, {"match": 0.5})
        for number, item in enumerate(items[1:])
    ]
    other = replace(told[0], sample=1, token_ids=(9,), seed=4)
    CellStore(tmp_path / "matrix", "big", manifest).add([*told, other])
    given = {"target": "big", "fingerprint": "v", "limit": None} | fields
    return recorded_samples(data, tmp_path / "matrix", **given)


def test_recorded_answers_are_taken_in_the_sets_order_with_their_scores(tmp_path: Path):
    first, second = recorded(tmp_path)
    assert (first.token_ids, second.token_ids) == ((5, 0), (5, 1))
    assert (first.kind, first.score) == ("facts", 0.5)
    assert "Question: Who" in first.prompt[0].content
    assert recorded(tmp_path, limit=1) == [first]


@pytest.mark.parametrize(
    ("fields", "why"),
    [({"target": "small"}, "holds none of small"), ({"fingerprint": "w"}, "has tokenizer w")],
)
def test_recorded_answers_of_something_else_are_refused(tmp_path: Path, fields, why):
    with pytest.raises(InvalidRequest, match=why):
        recorded(tmp_path, **fields)
