"""What a tier remembers of its drafters."""

import pytest

from tiercel.draft_stream import Judgement
from tiercel.speculation.drafter_records import DrafterRecords, Proposals


class Clock:
    """Time that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def noted(*passes: tuple[int, int]) -> Proposals:
    """Of passes for which so many tokens were wanted, and so many were there."""
    proposals = Proposals()
    for wanted, drafted in passes:
        proposals.note(wanted, drafted)
    return proposals


def test_rates_of_a_look_up_are_those_of_its_proposals():
    # Nothing, nothing, two of four and then no more, four of four.
    proposals = noted((4, 0), (4, 0), (4, 2), (4, 4))
    assert proposals.start_rate == pytest.approx((2 + 1) / (4 + 1))
    assert proposals.continue_rate == pytest.approx((1 + 3 + 1) / (1 + 3 + 1 + 1))
    many = noted(*[(4, 0), (4, 0), (4, 2), (4, 4)] * 1000)
    assert (many.start_rate, many.continue_rate) == pytest.approx((0.5, 0.8), abs=1e-3)


def test_one_that_always_has_all_that_is_wanted_has_rates_of_one():
    assert noted(*[(3, 3)] * 5).start_rate == noted(*[(3, 3)] * 5).continue_rate == 1.0
    assert (Proposals().start_rate, Proposals().continue_rate) == (1.0, 1.0), "not asked yet"
    assert 0 < noted(*[(3, 0)] * 50).start_rate < 0.03, "nothing yet may be something soon"


def test_old_proposals_count_for_less_as_old_judgements_do():
    clock = Clock()
    records = DrafterRecords(clock)
    records.proposed("suffix", noted(*[(4, 0)] * 100))
    records.judged("suffix", Judgement(4, 3, 1))
    (before,) = records.all()
    clock.now += 300.0  # ten half-lives
    records.proposed("suffix", noted(*[(4, 4)] * 10))
    (after,) = records.all()
    assert (before.start_rate, after.start_rate) == pytest.approx((1 / 101, 11 / 11.1), abs=1e-2)
    assert after.num_accepted_tokens == pytest.approx(before.num_accepted_tokens / 1024)
