"""The calibration of agreement and its curves, against votes of which the truth is known."""

import math
import random

import pytest

from tests.evaluation.test_agreement import READINGS, SAME
from tiercel.evaluation.agreement.figures import draw_matrix, draw_reliability
from tiercel.evaluation.agreement.fitting import expected, fitted, isotonic
from tiercel.evaluation.agreement.pairs import pair_lines
from tiercel.evaluation.agreement.reliability import (
    acceptance_curves,
    correctness_curves,
    rank_chance,
)
from tiercel.evaluation.agreement.votes import AgreedAnswer, Vote


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
    told = [AgreedAnswer("ab"[n % 2], n / 60, float(n > 20)) for n in range(60)]
    curves = correctness_curves(told)
    assert [curve.kind for curve in curves] == ["", "a", "b"]
    observed = [point.observed for point in curves[0].points]
    assert observed == sorted(observed) and observed[0] == 0 and observed[-1] == 1
    assert rank_chance(told) == 1.0
    assert rank_chance([AgreedAnswer("", 0.5, 1.0), AgreedAnswer("", 0.5, 0.0)]) == 0.5
    assert rank_chance(told[:5]) is None
    assert rank_chance([AgreedAnswer("a", 0.9, 1.0), AgreedAnswer("b", 0.1, 0.0)]) is None
    assert correctness_curves(told[:19]) == []


def test_pictures_are_drawn(tmp_path):
    lines = pair_lines(READINGS, SAME)
    draw_matrix(list(READINGS), lines, tmp_path / "matrix.svg")
    curves = acceptance_curves(drawn(400, truth=lambda sure: sure), 2)
    right = correctness_curves([AgreedAnswer("", n / 40, float(n > 20)) for n in range(40)])
    draw_reliability(curves, right, tmp_path / "curves.svg")
    draw_reliability(curves, [], tmp_path / "one.png")
    draw_reliability([], [], tmp_path / "none.svg")
    for name in ("matrix.svg", "curves.svg"):
        assert "<svg" in (tmp_path / name).read_text()
    assert (tmp_path / "one.png").stat().st_size > 1000
