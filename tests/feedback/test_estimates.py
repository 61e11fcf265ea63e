"""What sums say: rates with shrinkage, lines of step time, block lengths of best goodput."""

import itertools

import pytest

from services.feedback.cells import Cell, Snapshot
from services.feedback.deltas import deltas
from services.feedback.estimates import Estimator, Line
from tests.feedback.outcomes import outcome
from tiercel.decoding import Level, draft_confidence
from tiercel.learning import DraftScore, Event, LearnedPolicy, Outcome, PairPolicy
from tiercel.types import PairStats, Plan, TierStats, Usage


def snapshot(*events: Event) -> Snapshot:
    """Add outcomes up as the store does, with nothing forgotten."""
    cells: dict[Cell, dict[str, float]] = {}
    for cell, sums in itertools.chain.from_iterable(map(deltas, events)):
        found = cells.setdefault(cell, {})
        for name, value in sums.items():
            found[name] = found.get(name, 0.0) + value
    return Snapshot("epoch", len(events), cells)


def learned(*outcomes: Outcome, **settings: float) -> dict[str, PairPolicy]:
    policy = Estimator(**settings).policy(snapshot(*outcomes))
    return {pair.kind: pair for pair in policy.pairs}


def scored(number: int, matched: int, drafter: str = "idle") -> DraftScore:
    """100 places of an answer, so many of them as the drafter would have it."""
    return DraftScore(f"s{number}", "d", "", drafter, "target", matched, 100 - matched)


def request(drafted: int, seconds_per_pass: float, drafter: str = "draft") -> Outcome:
    """100 passes with so many draft tokens each."""
    pair = PairStats(drafter, "target", 100, 100 * drafted, 80 * drafted, 20)
    tier = TierStats("target", num_forward_passes=100, compute_s=100 * seconds_per_pass)
    return Outcome("e", Usage(1, 1, (pair,), (tier,)))


def test_nothing_is_learned_from_nothing():
    assert Estimator().policy(snapshot()) == LearnedPolicy("epoch", 0)


def test_a_pair_needs_evidence_and_then_has_a_policy():
    assert learned(outcome()) == {}
    assert learned(outcome(), outcome())[""].num_judged_tokens == 200


def test_a_drafter_that_was_only_scored_has_a_rate_and_the_length_of_a_plan():
    scores = [scored(number, 90) for number in range(3)]
    policy = Estimator().policy(snapshot(outcome(), *scores))
    [pair] = policy.pairs
    assert (pair.drafter, pair.num_judged_tokens) == ("idle", 300)
    assert pair.acceptance_rate == pytest.approx(0.9)
    length, confidence = Plan.num_speculative_tokens, Plan.draft_confidence
    assert (pair.num_speculative_tokens, pair.draft_confidence) == (length, confidence)
    assert (pair.draft_s_per_token, pair.verify_s_per_pass) == (0.0, pytest.approx(0.04))
    few = Estimator().policy(snapshot(outcome(), scored(0, 90)))
    assert few.pairs == (), "a hundred places are too few"


def test_scores_count_as_what_was_judged():
    both = learned(*(outcome() for _ in range(2)), *(scored(n, 50, "draft") for n in range(2)))
    assert both[""].acceptance_rate == pytest.approx(0.7)
    assert both[""].draft_s_per_token == pytest.approx(0.001)


def test_a_kind_is_drawn_to_the_pair_as_a_whole():
    general = [outcome(accepted=90, rejected=10) for _ in range(100)]
    hard = [outcome(kind="hard", accepted=10, rejected=90) for _ in range(2)]
    few = learned(*general, *hard)["hard"].acceptance_rate
    assert 0.1 < few < 0.5
    many = learned(*general, *(hard * 50))["hard"].acceptance_rate
    assert 0.1 < many < few
    alone = learned(*general, *hard, prior_tokens=0)["hard"].acceptance_rate
    assert alone == pytest.approx(0.1)


def test_a_drafter_that_always_agrees_has_rate_one_and_is_never_stopped():
    pair = learned(*(outcome(accepted=100, rejected=0, kind="k") for _ in range(3)))["k"]
    assert (pair.acceptance_rate, pair.draft_confidence) == (1.0, 0.0)
    assert pair.num_speculative_tokens == 16


def test_a_drafter_as_dear_as_its_parent_is_not_asked():
    # 40 ms for a draft token, 40 ms for a pass that may commit five.
    pair = learned(*(outcome(accepted=30, rejected=70, draft_s=4.0) for _ in range(3)))[""]
    assert (pair.num_speculative_tokens, pair.draft_confidence) == (0, 0.0)


def test_the_length_grows_with_acceptance_and_falls_with_the_drafters_price():
    def length(accepted: int, draft_s: float) -> int:
        found = learned(
            *(outcome(accepted=accepted, rejected=100 - accepted, draft_s=draft_s),) * 3
        )
        return found[""].num_speculative_tokens

    by_rate = [length(accepted, 0.2) for accepted in (10, 50, 70, 90, 99)]
    by_price = [length(80, draft_s) for draft_s in (0.05, 0.2, 0.8, 3.0)]
    assert by_rate == sorted(by_rate)
    assert by_price == sorted(by_price, reverse=True)
    assert len(set(by_rate)) > 3
    assert len(set(by_price)) > 3


def test_times_that_grow_with_the_width_shorten_the_blocks():
    flat = [request(drafted, 0.04) for drafted in (1, 2, 4, 8)]
    steep = [request(drafted, 0.01 * (1 + drafted)) for drafted in (1, 2, 4, 8)]
    long = learned(*flat)[""].num_speculative_tokens
    assert learned(*steep)[""].num_speculative_tokens < long


def test_the_line_is_that_of_the_passes():
    sums = snapshot(*(request(drafted, 0.02 + 0.005 * drafted) for drafted in (0, 4, 8)))
    line = Line.fitted(sums.cells[Cell.of_tier("target", "")])
    assert line.step_s(1) == pytest.approx(0.02, rel=0.05)
    assert line.step_s(9) == pytest.approx(0.06, rel=0.05)


@pytest.mark.parametrize("seconds", [(0.04, 0.04), (0.08, 0.01), (0.001, 5.0)])
def test_no_line_falls_or_goes_below_zero(seconds: tuple[float, float]):
    sums = snapshot(*(request(d, s) for d, s in zip((1, 8), seconds, strict=True)))
    line = Line.fitted(sums.cells[Cell.of_tier("target", "")])
    times = [line.step_s(width) for width in range(1, 18)]
    assert times == sorted(times)
    assert times[0] >= 0


def test_one_width_alone_says_nothing_about_the_slope():
    line = Line.fitted(snapshot(request(4, 0.04)).cells[Cell.of_tier("target", "")])
    assert line.step_s(17) == pytest.approx(0.04)


def test_a_pair_whose_parent_reports_no_passes_is_left_out():
    events = [outcome() for _ in range(3)]
    bare = [Outcome(e.event_id, Usage(1, 1, e.usage.pairs)) for e in events]
    assert learned(*bare) == {}


def test_the_bound_of_confidence_is_the_break_even_faded_by_agreement():
    level = Level(lambda width: 1.0, acceptance_rate=0.5)
    # A block of one: (0.3 + 1) / 1.5 seconds a token; one draft token more costs 0.3.
    assert draft_confidence(level, 0.3, 1) == pytest.approx(0.3 / (1.3 / 1.5) * 0.5)
    assert draft_confidence(level, 0.0, 1) == 0.0


def test_cells_are_named_one_to_one():
    cells = [Cell.of_pair("a", 'b"]', ""), Cell.of_pair('a","b', "]", "k"), Cell.of_tier("é", "\n")]
    assert [Cell.named(cell.name) for cell in cells] == cells
    assert len({cell.name for cell in cells}) == 3
    with pytest.raises(ValueError):
        Cell.named("3")
