"""Plans with what was left open to protobuf and back; presence on the wire is what was written."""

from tiercel.plan_text import Outline
from tiercel.v1 import decoding_pb2 as pb
from tiercel.wire.plans import acceptance_from_pb, acceptance_to_pb, plan_from_pb


def outline_to_pb(outline: Outline) -> pb.Plan:
    """Return the message for an outline; numbers that were not written stay unset."""
    return pb.Plan(
        tier=outline.tier,
        address=outline.address,
        num_speculative_tokens=outline.num_speculative_tokens,
        draft_confidence=outline.draft_confidence or 0.0,
        acceptance=acceptance_to_pb(outline.acceptance) if outline.acceptance else None,
        drafters=[outline_to_pb(drafter) for drafter in outline.drafters],
    )


def outline_from_pb(message: pb.Plan) -> Outline:
    """Return the outline; raises InvalidRequest for a value out of range at any depth."""
    plan_from_pb(message)
    return _outline(message)


def _outline(message: pb.Plan) -> Outline:
    written = message.HasField("num_speculative_tokens")
    has_rule = message.HasField("acceptance")
    return Outline(
        tier=message.tier,
        num_speculative_tokens=message.num_speculative_tokens if written else None,
        draft_confidence=message.draft_confidence or None,
        drafters=tuple(_outline(drafter) for drafter in message.drafters),
        address=message.address,
        acceptance=acceptance_from_pb(message.acceptance) if has_rule else None,
    )
