"""The fixed sequence of tests: what it certifies, and how often it is wrong, by enumeration."""

from itertools import product

import pytest
from scipy import stats

from services.feedback.cells import Cell
from services.feedback.certification import certify
from tiercel.errors import InvalidRequest
from tiercel.strictness.bounds import clopper_pearson_upper
from tiercel.strictness.certification import Certificate, Standard

SMALL = Standard(epsilon=0.3, delta=0.1, levels=(0.9, 0.7, 0.5))  # 7 audits a level


def cells(standard: Standard, *levels: tuple[int, int], divergence: float = 0.1):
    """Audits and harmed ones of the first levels; level i has i times the divergence."""
    paired = zip(standard.levels, levels, strict=False)
    return {
        Cell.of_level("lenient", level, ""): {
            "audits": float(audits),
            "harmed": float(harmed),
            "divergence": audits * divergence * place,
        }
        for place, (level, (audits, harmed)) in enumerate(paired, 1)
    }


def certified(standard: Standard, *levels: tuple[int, int]) -> Certificate:
    return certify(cells(standard, *levels), "lenient", "", standard)


def test_the_strictest_level_comes_first():
    assert certified(Standard()) == Certificate(next_level=0.95)
    assert certified(Standard(), (58, 0)) == Certificate(next_level=0.95, num_audits=58)


def test_a_level_with_enough_clean_audits_leads_to_the_next():
    found = certified(Standard(), (59, 0), (20, 0))
    assert (found.level, found.next_level, found.holds) == (0.95, 0.9, False)
    assert found.target_divergence == pytest.approx(0.1)
    assert found.num_audits == 20


def test_one_harmed_answer_of_the_fewest_ends_the_sequence():
    found = certified(Standard(), (59, 0), (59, 0), (30, 1), (59, 0))
    assert (found.level, found.next_level, found.holds) == (0.9, None, True)
    assert found.target_divergence == pytest.approx(0.2)


def test_more_audits_bear_some_harm():
    standard = Standard(audits_per_level=93)
    assert certified(standard, (59, 0)).level is None
    assert certified(standard, (93, 1)).level == 0.95
    assert certified(standard, (93, 2)) == Certificate(num_audits=93, num_harmed=2)


def test_a_sequence_may_end_at_its_end():
    found = certified(SMALL, (7, 0), (7, 0), (7, 0))
    assert (found.level, found.next_level) == (0.5, None)
    assert not certified(SMALL, (7, 1)).holds


@pytest.mark.parametrize("levels", [(), (0.9, 0.95), (0.9, 0.9), (1.0,), tuple(range(7))])
def test_levels_that_are_no_sequence_are_refused(levels: tuple[float, ...]):
    with pytest.raises(InvalidRequest, match="strictness_levels"):
        Standard(levels=levels)


def last_certified(counts: tuple[int, ...]) -> int:
    level = certified(SMALL, *((SMALL.num_audits, harmed) for harmed in counts)).level
    return -1 if level is None else SMALL.levels.index(level)


def last_without_order(counts: tuple[int, ...]) -> int:
    """Test each level for itself, and take the most lenient one that passes."""
    n, delta, epsilon = SMALL.num_audits, SMALL.delta, SMALL.epsilon
    passed = [clopper_pearson_upper(harmed, n, delta) <= epsilon for harmed in counts]
    return max((place for place, one in enumerate(passed) if one), default=-1)


def chance_of_error(last: object, harms: tuple[float, ...]) -> float:
    """Return the chance that a level with too much harm is certified, over all counts."""
    n, chance = SMALL.num_audits, 0.0
    for counts in product(range(n + 1), repeat=len(harms)):
        found = last(counts)  # type: ignore[operator]
        if any(harm > SMALL.epsilon for harm in harms[: found + 1]):
            chance += float(stats.binom.pmf(counts, n, harms).prod())
    return chance


@pytest.mark.parametrize(
    "harms",
    [(0.301, 0.301, 0.301), (0.0, 0.301, 0.301), (0.301, 0.0, 0.6), (0.05, 0.1, 0.301)],
)
def test_the_chance_of_any_error_is_at_most_delta(harms: tuple[float, ...]):
    assert 0.01 < chance_of_error(last_certified, harms) <= SMALL.delta


def test_levels_that_are_each_tested_for_themselves_err_more_often():
    assert chance_of_error(last_without_order, (0.301, 0.301, 0.301)) > 2 * SMALL.delta
