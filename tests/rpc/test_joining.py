"""Committed tokens that wait for a slow reader become one message, of which nothing is missing."""

import pytest

from tiercel.replies import Committed
from tiercel.types import Span, TokenLogprob
from tiercel.v1 import decoding_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.wire.answers import committed_to_pb
from tiercel.wire.sessions import event_from_pb, join_committed

FIRST = Committed(
    5,
    (1, 2),
    "a b",
    (Span("draft", 1), Span("target", 1)),
    (1, 2),
    (TokenLogprob(1, -0.5), TokenLogprob(2, -1.0)),
    plan_version=3,
    compute_s=0.25,
)
SECOND = Committed(
    7,
    (3,),
    "c",
    (Span("target", 1),),
    (1,),
    (TokenLogprob(3, -2.0),),
    plan_version=3,
    compute_s=0.5,
)


def message(committed: Committed) -> pb.VerifierGenerateResponse:
    return pb.VerifierGenerateResponse(committed=committed_to_pb(committed))


def test_two_become_one():
    first = message(FIRST)
    assert join_committed(first, message(SECOND))
    assert event_from_pb(first) == Committed(
        5,
        (1, 2, 3),
        "a bc",
        (Span("draft", 1), Span("target", 2)),
        (1, 2, 1),
        (*FIRST.logprobs, *SECOND.logprobs),
        plan_version=3,
        compute_s=0.75,
    )


HEARTBEAT = pb.VerifierGenerateResponse(heartbeat=decoding_pb2.Heartbeat(sequence=1))
FINISHED = pb.VerifierGenerateResponse(finished=decoding_pb2.Finished())
TAIL = message(Committed(8, (), "tail", ()))
REPLANNED = message(Committed(7, (3,), "c", (Span("target", 1),), (1,), plan_version=4))


@pytest.mark.parametrize("other", [HEARTBEAT, FINISHED, TAIL, REPLANNED])
def test_anything_else_stays_by_itself(other: pb.VerifierGenerateResponse):
    for first, second in ((message(FIRST), other), (other, message(FIRST))):
        before = first.SerializeToString(), second.SerializeToString()
        assert not join_committed(first, second)
        assert (first.SerializeToString(), second.SerializeToString()) == before
