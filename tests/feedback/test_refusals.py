"""What may not be learned from is refused by the name of its field."""

import math

import pytest

from tests.feedback.calls import get, report
from tests.feedback.conftest import StartService
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tiercel import rpc
from tiercel.errors import InvalidRequest
from tiercel.v1 import feedback_pb2
from tiercel.wire.feedback import outcome_to_pb


def spoiled(field: str, value: object) -> feedback_pb2.Outcome:
    """Return a sound outcome but for one field, named by its path."""
    message = outcome_to_pb(outcome())
    *path, last = field.split(".")
    target = message
    for step in path:
        target = target[int(step)] if step.isdigit() else getattr(target, step)
    setattr(target, last, value)
    return message


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("event_id", "", "outcomes[1].event_id"),
        ("event_id", "e" * 129, "outcomes[1].event_id"),
        ("kind", "k" * 129, "outcomes[1].kind"),
        ("propensity", math.nan, "outcomes[1].propensity"),
        ("propensity", math.inf, "outcomes[1].propensity"),
        ("propensity", -0.1, "outcomes[1].propensity"),
        ("usage.pairs.0.drafter", "", "outcomes[1].usage.pairs[0].drafter"),
        ("usage.pairs.0.verifier", "v" * 129, "outcomes[1].usage.pairs[0].verifier"),
        ("usage.pairs.0.num_rejected_tokens", 11, "outcomes[1].usage.pairs[0].num_draft_tokens"),
        (
            "usage.pairs.0.draft_compute_ns",
            2**64 - 1,
            "outcomes[1].usage.pairs[0].draft_compute_ns",
        ),
        ("usage.tiers.0.tier", "", "outcomes[1].usage.tiers[0].tier"),
        ("usage.tiers.0.compute_ns", 2**64 - 1, "outcomes[1].usage.tiers[0].compute_ns"),
    ],
)
async def test_a_bad_outcome_is_refused_by_name_and_nothing_is_learned(
    valkey: RedisServer, start_service: StartService, field: str, value: object, named: str
):
    stub = await start_service(valkey.url)
    request = feedback_pb2.ReportRequest(outcomes=[outcome_to_pb(outcome()), spoiled(field, value)])
    with pytest.raises(InvalidRequest) as refused, rpc.translated():
        await stub.Report(request)
    assert refused.value.field == named
    assert (await get(stub)).version == 0


async def test_lists_that_are_too_long_are_refused(
    valkey: RedisServer, start_service: StartService
):
    stub = await start_service(valkey.url)
    with pytest.raises(InvalidRequest, match="outcomes=257"):
        await report(stub, *(outcome() for _ in range(257)))
    assert await report(stub, *(outcome() for _ in range(256))) == (256, 0)
    message = outcome_to_pb(outcome())
    message.usage.pairs.extend(message.usage.pairs[:1] * 64)
    with pytest.raises(InvalidRequest, match=r"usage\.pairs=65"), rpc.translated():
        await stub.Report(feedback_pb2.ReportRequest(outcomes=[message]))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("score", value) for value in (math.nan, math.inf, -0.01, 1.01)),
        *((field, "") for field in ("event_id", "decision_id", "rater")),
    ],
)
async def test_a_bad_rating_is_refused_by_name(
    valkey: RedisServer, start_service: StartService, field: str, value: object
):
    stub = await start_service(valkey.url)
    values = {"event_id": "r", "decision_id": "d", "rater": "me", "score": 0.5}
    with pytest.raises(InvalidRequest) as refused, rpc.translated():
        await stub.Rate(feedback_pb2.RateRequest(**{**values, field: value}))
    assert refused.value.field == field
    assert not (await stub.Rate(feedback_pb2.RateRequest(**values))).duplicate
    assert (await stub.Rate(feedback_pb2.RateRequest(**values))).duplicate
