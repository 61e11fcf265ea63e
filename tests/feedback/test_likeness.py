"""How alike two models are is among the sums of their pair, where it was measured."""

import pytest

from services.feedback.cells import Cell
from services.feedback.deltas import deltas
from tiercel.errors import InvalidRequest
from tiercel.learning import Outcome
from tiercel.types import FinishReason, PairStats, Usage
from tiercel.wire.feedback import outcome_from_pb, outcome_to_pb


def outcome(**compared) -> Outcome:
    pair = PairStats("draft", "target", num_drafts=1, **compared)
    return Outcome("event", Usage(1, 1, (pair,)), "decision", reason=FinishReason.LENGTH)


def test_total_variations_add_up_by_pair():
    got = outcome_from_pb(outcome_to_pb(outcome(num_compared=4, total_variation=0.5)))
    [(cell, sums)] = deltas(got)
    assert cell == Cell.of_pair("draft", "target", "")
    assert (sums["compared"], sums["variation"]) == (4, 0.5)
    [(_, sums)] = deltas(outcome())
    assert "compared" not in sums


@pytest.mark.parametrize("variation", [-0.1, 4.1, float("nan")])
def test_what_is_no_sum_of_total_variations_is_refused(variation):
    with pytest.raises(InvalidRequest, match="total_variation"):
        outcome_from_pb(outcome_to_pb(outcome(num_compared=4, total_variation=variation)))
