"""Wishes, odds and stages of an answer survive protobuf; what cannot be honoured is named."""

import math

import pytest

from tiercel.clients.router import Request, _objective_to_pb
from tiercel.errors import InvalidRequest
from tiercel.replies import Candidate, Decision, Finished, Revise, StageDecision
from tiercel.routing.policy import Wishes
from tiercel.sessions import Delivery
from tiercel.types import FinishReason, Plan, Usage
from tiercel.v1 import router_pb2
from tiercel.wire import replies, router

STAGE = StageDecision(1, 16, "small", "big", 0.75, 0.125, 2.5, "why", "had to")


def test_a_decision_with_all_that_was_weighed():
    candidates = (
        Candidate("x", 0.5, 0.75, 0.25, 3.0, 0.875, ""),
        Candidate("y", None, 0.0, 0.0, 0.0, 0.0, "over budget"),
        Candidate("z"),
    )
    decision = Decision(
        "d", Plan("a"), "x", "p", 0.875, candidates, "why", 0.001, "forced", True, "abc", "e", 7
    )
    assert replies.decision_from_pb(router.decision_to_pb(decision)) == decision


def test_what_is_taken_back_and_the_stages_of_an_end():
    revise = Revise(0, 5, STAGE)
    assert replies.revise_from_pb(router.reply_to_pb(revise).revise) == revise
    end = Finished(
        FinishReason.LENGTH, Usage(4, 5), 3, True, stages=(STAGE, STAGE), plan_name="big"
    )
    assert replies.finished_from_pb(router.reply_to_pb(end).finished) == end


@pytest.mark.parametrize("delivery", Delivery)
@pytest.mark.parametrize("wishes", [Wishes(), Wishes(0.0, 0.5, 2.0, 0.25), Wishes(max_cost=1.0)])
def test_wishes_and_delivery(wishes, delivery):
    asked = Request("p", policy="utility", wishes=wishes, delivery=delivery)
    objective = router.objective_from_pb(_objective_to_pb(asked))
    assert (objective.policy, objective.wishes, objective.delivery) == ("utility", wishes, delivery)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("cost_weight", (-0.1, math.nan, math.inf)),
        ("target_quality", (0.0, 1.0, -1.0, math.nan)),
        ("max_seconds", (0.0, -1.0, math.nan, math.inf)),
        ("max_cost", (0.0, -1.0, math.nan, math.inf)),
    ],
)
def test_a_wish_out_of_range_is_named(name, values):
    for value in values:
        with pytest.raises(InvalidRequest, match=f"objective.{name}="):
            router.objective_from_pb(router_pb2.Objective(**{name: value}))


def test_an_unknown_delivery_and_a_long_session_id_are_named():
    with pytest.raises(InvalidRequest, match=r"objective\.delivery=9"):
        router.objective_from_pb(router_pb2.Objective(delivery=9))
    with pytest.raises(InvalidRequest, match="session_id"):
        router.session_id_from_pb("s" * 200)
