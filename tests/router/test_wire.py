"""What the router sends and takes survives protobuf, presence included."""

from dataclasses import replace

from hypothesis import given

from tests.test_plan_text import outlines
from tiercel.descriptions import DrafterRecord, Residency, Speed, TierDescription
from tiercel.replies import (
    Candidate,
    Committed,
    Decision,
    Finished,
    NamedPlan,
    Overview,
    Replica,
    ReplicaState,
)
from tiercel.sessions import Ask, DrafterLost, Opened, SessionEnd
from tiercel.types import (
    FinishReason,
    Plan,
    SamplingParams,
    Span,
    StopConditions,
    TokenLogprob,
    Usage,
)
from tiercel.v1 import decoding_pb2, verifier_pb2
from tiercel.wire import replies, router
from tiercel.wire.outlines import outline_from_pb, outline_to_pb
from tiercel.wire.requests import TokenIds, prompt_to_pb, token_ids_to_pb
from tiercel.wire.results import usage_to_pb
from tiercel.wire.sessions import event_from_pb, open_to_pb

PLAN = Plan("a", "a:1", drafters=(Plan("b", "b:1", num_speculative_tokens=0),), version=3)
USAGE = Usage(4, 5, time_to_first_token_s=0.25, total_s=1.5)
DESCRIPTION = TierDescription(
    "a",
    "m",
    "onnx",
    "int4",
    "n",
    True,
    "f",
    9,
    8,
    True,
    True,
    1,
    2,
    3,
    4.5,
    Speed(0.03, 0.001, 0.002, 0.5),
    (DrafterRecord("b", 3.5, 1.25, 0.01, 0.002),),
    Residency.LEAVING,
    2.5,
    12345,
)
COMMITTED = Committed(
    position=0,
    token_ids=(0, 7),
    text="hi",
    spans=(Span("b", 1), Span("a", 1)),
    text_lengths=(1, 1),
    logprobs=(TokenLogprob(0, -0.5, ((0, -0.5), (1, -1.0))), TokenLogprob(7, -1.5)),
    plan_version=3,
    compute_s=0.125,
)


@given(outlines)
def test_outlines(outline):
    # Zero confidence is what a missing one means.
    parts = outline_from_pb(outline_to_pb(outline))
    assert str(parts).replace("@0.0", "") == str(outline).replace("@0.0", "").replace("@-0.0", "")


def test_a_decision():
    candidates = (Candidate("x", 0.5), Candidate("y", None, 0.0))
    decision = Decision("d", PLAN, "x", "static", 0.5, candidates, "why", 0.001)
    assert replies.decision_from_pb(router.reply_to_pb(decision).decision) == decision


def test_committed_tokens():
    assert replies.committed_from_pb(router.reply_to_pb(COMMITTED).committed) == COMMITTED


def test_an_end():
    for exact in (True, False):
        end = Finished(FinishReason.STOP_STRING, USAGE, 2**64 - 1, exact, "stop", (), 2, "d")
        assert replies.finished_from_pb(router.reply_to_pb(end).finished) == end


def test_an_overview():
    seen = (
        Replica("a", "a:1", ReplicaState.READY, 2, DESCRIPTION),
        Replica("a", "a:2", ReplicaState.NOT_READY, 0, DESCRIPTION, "loads"),
        Replica("b", "b:1", ReplicaState.UNREACHABLE, 0, None, "refused"),
    )
    overview = Overview(seen, (NamedPlan("p", PLAN, True), NamedPlan("q", Plan("b"), False)))
    assert replies.overview_from_pb(router.overview_to_pb(overview)) == overview


def test_what_opens_a_session_carries_zero_and_the_largest_seed():
    stop = StopConditions(9, frozenset({0, 3}), ("END",))
    ask = Ask(
        "r", TokenIds((0, 1), "f"), SamplingParams(0.5, 3, 0.9, 2**64 - 1), stop, True, True, 4
    )
    message = open_to_pb(ask, PLAN, [0, 5])
    assert message.sampling.seed == 2**64 - 1
    assert list(message.committed_token_ids) == [0, 5]
    assert message.prompt == prompt_to_pb(ask.prompt)
    assert (message.stop.ignore_eos, message.logprobs, message.num_top_logprobs) == (True, True, 4)
    assert message.plan.version == 3
    unseeded = open_to_pb(replace(ask, sampling=SamplingParams()), PLAN, [])
    assert unseeded.sampling.HasField("seed"), "a seed of zero is a seed"


def test_the_events_of_a_session():
    ids = TokenIds((0, 4), "f")
    opened = verifier_pb2.GenerateOpened(prompt=token_ids_to_pb(ids), tier="a", numerics_id="n")
    lost = decoding_pb2.DrafterLost(path=["a", "b"], reason="gone", unreachable=True)
    finished = decoding_pb2.Finished(
        reason=decoding_pb2.FINISH_REASON_LENGTH, usage=usage_to_pb(USAGE)
    )
    response = verifier_pb2.VerifierGenerateResponse
    events = [
        (response(opened=opened), Opened(ids, "a", "n")),
        (response(committed=router.committed_to_pb(COMMITTED)), COMMITTED),
        (response(drafter_lost=lost), DrafterLost(("a", "b"), "gone", True)),
        (response(finished=finished), SessionEnd(FinishReason.LENGTH, USAGE)),
        (response(heartbeat=decoding_pb2.Heartbeat(sequence=1)), None),
        (response(), None),
    ]
    for message, event in events:
        assert event_from_pb(message) == event
