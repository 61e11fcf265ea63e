"""Rates, ratios and their intervals, on answers made up so that the truth is known."""

import numpy as np
import pytest

from bench.peers.measurement import Sample
from bench.peers.report import Comparison, disagreements, mean_rate, rates_until, ratio
from bench.peers.tables import columns, rate_rows, ratio_rows


def steady(system: str, prompt: int, task: str, *, length: int, per_s: float, turn: int = 0):
    arrivals = [(count, 1.0 + (count - 1) / per_s) for count in range(1, length + 1)]
    return Sample(system, turn, prompt, task, arrivals, list(range(length)))


def test_an_answer_is_cut_and_the_first_token_is_apart():
    arrivals = [(1, 2.0), (4, 3.0), (9, 4.0), (10, 9.0)]
    whole, decoding = rates_until(arrivals, 5)
    assert (whole, decoding) == (9 / 4.0, 8 / 2.0)


def test_an_answer_that_came_at_once_has_no_rate_of_decoding():
    whole, decoding = rates_until([(8, 2.0)], 8)
    assert whole == 4.0
    assert np.isnan(decoding)


def test_every_system_is_cut_where_the_shortest_answer_ended():
    samples = [
        steady("slow end", 0, "qa", length=10, per_s=10),
        # The pace changes behind the cut, and must not count.
        Sample("long", 0, 0, "qa", [(1, 1.0), (10, 1.9), (100, 900.0)]),
    ]
    comparison = Comparison.of(samples)
    assert comparison.lengths == (10,)
    assert comparison.decoding["long"][0, 0] == pytest.approx(10)
    assert comparison.decoding["slow end"][0, 0] == pytest.approx(10)


def test_prompts_with_a_too_short_answer_are_left_out_and_counted():
    samples = [steady("a", 0, "qa", length=3, per_s=10), steady("a", 1, "rag", length=9, per_s=10)]
    comparison = Comparison.of(samples)
    assert (comparison.tasks, comparison.num_too_short) == (("rag",), 1)


def test_twice_as_fast_everywhere_is_a_ratio_of_two_without_doubt():
    other = np.array([[10.0, 12.0], [80.0, 70.0], [33.0, 31.0]])
    found = ratio(2 * other, other)
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2, 2))


def test_the_interval_grows_with_the_spread_between_prompts_and_holds_the_truth():
    rng = np.random.default_rng(3)
    hits, widths = 0, []
    for seed in range(60):
        effects = rng.normal(np.log(1.5), 0.3, size=(12, 1)) + rng.normal(0, 0.02, size=(12, 3))
        found = ratio(np.exp(effects), np.ones((12, 3)), seed=seed)
        hits += found.low <= 1.5 <= found.high
        widths.append(np.log(found.high / found.low))
    assert hits >= 48
    # Rounds alone, taken for independent answers, would claim 0.02 * 2 * 1.96 / sqrt(36).
    assert np.median(widths) > 0.2


def test_prompts_without_a_rate_are_left_out_of_the_ratio():
    ours, other = np.array([[2.0], [np.nan]]), np.array([[1.0], [5.0]])
    assert ratio(ours, other).mean == pytest.approx(2)
    assert np.isnan(ratio(ours[1:], other[1:]).mean)


def test_means_of_rates_have_the_ratio_that_is_printed():
    rng = np.random.default_rng(0)
    ours, other = rng.uniform(10, 90, size=(2, 7, 3))
    assert ratio(ours, other).mean == pytest.approx(mean_rate(ours) / mean_rate(other))


def test_tables_have_a_column_for_each_kind_and_leave_ours_out_of_its_own_ratios():
    samples = [
        steady(system, prompt, task, length=16, per_s=per_s, turn=turn)
        for system, per_s in (("ours", 40.0), ("peer", 20.0))
        for prompt, task in enumerate(("qa", "rag", "qa"))
        for turn in range(2)
    ]
    comparison = Comparison.of(samples)
    assert columns(comparison, "over") == ["over", ">all (3)", ">qa (2)", ">rag (1)"]
    rates = [*rate_rows(comparison, comparison.decoding)]
    assert rates == [["ours", "40.0", "40.0", "40.0"], ["peer", "20.0", "20.0", "20.0"]]
    [row] = ratio_rows(comparison, comparison.decoding, "ours")
    assert row[0] == "peer"
    assert all(cell.startswith("2.00") for cell in row[1:])


def test_answers_of_one_root_that_differ_are_found():
    same = [steady("a", 0, "qa", length=9, per_s=9), steady("b", 0, "qa", length=9, per_s=5)]
    roots = {"a": "int4", "b": "int4"}
    assert disagreements(same, roots) == {"int4": 0}
    other = steady("b", 0, "qa", length=8, per_s=5, turn=1)
    assert disagreements([*same, other], roots) == {"int4": 1}
    assert disagreements([*same, other], {"a": "int4", "b": "int8"}) == {"int4": 0, "int8": 1}
