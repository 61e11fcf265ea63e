"""Certificates over made-up and recorded harm: how often they err, and how soon they are gone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tiercel.evaluation.learning.audits import Auditing, Rule, lived
from tiercel.evaluation.learning.coverage import covered, naive_errors
from tiercel.evaluation.learning.harm import HarmCurve, made_up, recorded
from tiercel.evaluation.matrix import Cells, CellsManifest
from tiercel.evaluation.outcomes import Outcome
from tiercel.strictness.certification import Standard
from tiercel.strictness.following import Steering
from tiercel.types import FinishReason

SHORT = Auditing(num_requests=4000, drift_at=2000, running_share=0.2)
DELTA = SHORT.standard.delta


def test_what_is_drawn_is_what_the_curve_says():
    curve, random = made_up("rule", 0.5), np.random.default_rng(0)
    for strictness, factor in ((0.5, 1.0), (0.77, 1.0), (0.9, 4.0), (0.99, 1.0)):
        divergence, harmed = curve.drawn(strictness, 40_000, random, factor)
        assert harmed.mean() == pytest.approx(curve.true_harm(strictness, factor), abs=0.004)
        assert divergence.mean() == pytest.approx(0.4 * (1 - strictness), abs=0.004)
    assert curve.is_synthetic and "synthetic" in curve.name


def test_a_harmful_rule_is_seldom_certified_and_who_looks_too_often_errs():
    found, _ = covered(made_up("harmful", 0.0, 0.08), SHORT, num_runs=150)
    assert found.wrongly.mean <= DELTA
    assert found.wrongly.mean == found.certified.mean
    errors = naive_errors(0.051, Standard(), 4000)
    assert errors["one look, as the product"] <= DELTA + 0.01
    assert errors["a look after every audit"] > DELTA + 0.02
    assert errors["observed share of 20 audits"] > 0.5


def test_drift_withdraws_what_was_certified_and_exact_is_served_from_then_on():
    drifted = replace(SHORT, drift=40.0)
    runs = [lived(made_up("mild", 0.1), drifted, seed) for seed in range(12)]
    first = drifted.drift_at // 20
    harmful = [one for one in runs if one.harm[first] > 0.2]
    assert len(harmful) >= 5
    for one in harmful:
        assert max(one.certified_harm[:1]) <= 0.05
        at = one.withdrawals[0]
        assert drifted.drift_at < at < drifted.drift_at + 1000
        assert not one.harm[at // 20 :].any()
    calm = [lived(made_up("mild", 0.1), replace(SHORT, drift=1.0), seed) for seed in range(12)]
    assert not any(one.withdrawals for one in calm)


def test_coverage_is_of_the_time_before_the_drift_and_withdrawals_of_that_after():
    found, over_time = covered(made_up("mild", 0.1), replace(SHORT, drift=40.0), num_runs=12)
    assert found.ever_above.mean == 0.0 and found.requests_above == 0.0
    assert 5 <= found.withdrawal.num_runs <= round(found.certified.mean * 12)
    assert found.withdrawal.within_run > 0.5
    assert 0 < found.withdrawal.median <= found.withdrawal.ninety
    assert over_time.within[:100].min() == 1.0 and over_time.within[100] < 0.5
    again, _ = covered(made_up("mild", 0.1), replace(SHORT, drift=40.0), num_runs=12)
    assert again == found


def test_a_long_clean_history_hardly_delays_a_withdrawal():
    """What was clean dilutes what is not only where all audits are judged together."""
    curve, late = made_up("mild", 0.1), replace(SHORT, num_requests=7000, drift_at=5000, drift=40.0)
    waits = []
    for standard in (Standard(), Standard(run_length=0.0)):
        long = replace(late, standard=standard)
        for auditing in (replace(long, num_requests=3000, drift_at=1000), long):
            found, _ = covered(curve, auditing, num_runs=20)
            assert found.drift_at == auditing.drift_at and found.withdrawal.num_runs > 5
            waits.append(found.withdrawal.median)
    assert waits[1] < 1.3 * waits[0] and waits[3] > 1.5 * waits[2]


def test_a_rule_is_led_back_to_the_divergence_that_was_certified():
    rule = Rule(Standard(levels=(0.9,)), Steering())
    for _ in range(58):
        assert not rule.certify(0.04, harmed=False)
    assert rule.certify(0.04, harmed=False) and rule.strictness == 0.9
    rule.follow(0.08)
    assert rule.strictness == pytest.approx(0.92)
    rule.follow(0.042)
    assert rule.strictness == pytest.approx(0.92)  # in the dead band


def answer(prompt: str, score: float, divergent: int | None = None) -> Outcome:
    counts = {} if divergent is None else {"compared.big": 10, "divergent.big": divergent}
    return Outcome(prompt, 0, "", (1, 2), FinishReason.STOP_TOKEN, {"exact": score}, counts=counts)


def cells(column: str, outcomes: list[Outcome]) -> Cells:
    manifest = CellsManifest(
        column=column, set_name="sums", data_digest="", set_digest="", tiers={}
    )
    return Cells(Path(), manifest, tuple(outcomes))


def matrix(levels: tuple[float, ...], count: int = 60) -> list[Cells]:
    """The small plan harms every fourth answer that EXACT gets right, at the most lenient level."""
    exact = cells("big", [answer(f"p{at}", float(at % 2 == 0)) for at in range(count)])
    found = [exact]
    for level in levels:
        harmed = level == min(levels)
        answers = [
            answer(f"p{at}", 0.0 if harmed and at % 4 == 0 else float(at % 2 == 0), at % 3)
            for at in range(count)
        ]
        found.append(cells(f"big <- small:4; rule=lenient; strictness={level}", answers))
    return found


def test_recorded_harm_is_where_the_score_falls_below_that_of_exact():
    [curve] = recorded(matrix((0.3, 0.6, 0.9)))
    assert isinstance(curve, HarmCurve) and not curve.is_synthetic
    assert curve.strictness.tolist() == [0.3, 0.6, 0.9, 1.0]
    assert curve.harms.tolist() == [0.25, 0.0, 0.0, 0.0]
    assert curve.true_harm(0.45) == pytest.approx(0.125)
    assert curve.pairs[0][0].mean() == pytest.approx(0.1)


def test_a_rule_with_few_levels_or_answers_is_no_curve():
    assert recorded(matrix((0.3, 0.6))) == []
    assert recorded(matrix((0.3, 0.6, 0.9), count=58)) == []
    assert recorded(matrix((0.3, 0.6, 0.9))[1:]) == []  # nothing of EXACT
