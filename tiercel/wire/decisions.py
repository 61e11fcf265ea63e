"""What was weighed for a request, and what was decided on its way, to protobuf and back."""

from tiercel.replies import Candidate, StageDecision
from tiercel.v1 import router_pb2


def candidate_to_pb(candidate: Candidate) -> router_pb2.Candidate:
    """Return the message for a plan that was weighed."""
    return router_pb2.Candidate(**vars(candidate))


def candidate_from_pb(message: router_pb2.Candidate) -> Candidate:
    """Return a plan that was weighed; what is absent is None."""
    return Candidate(
        message.plan_name,
        message.predicted_s if message.HasField("predicted_s") else None,
        message.predicted_quality if message.HasField("predicted_quality") else None,
        message.quality_bound if message.HasField("quality_bound") else None,
        message.predicted_cost if message.HasField("predicted_cost") else None,
        message.probability,
        message.refused,
    )


def stage_to_pb(stage: StageDecision) -> router_pb2.StageDecision:
    """Return the message for a decision in the middle of an answer."""
    return router_pb2.StageDecision(**vars(stage))


def stage_from_pb(message: router_pb2.StageDecision) -> StageDecision:
    """Return a decision in the middle of an answer."""
    return StageDecision(
        **{field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    )
