"""Trials of policies, to protobuf and back."""

from typing import Any

from google.protobuf.message import Message

from tiercel.errors import InvalidRequest
from tiercel.trials import ShadowDecision, Trial, TrialComparison, TrialPart, TrialShadow
from tiercel.v1 import feedback_pb2 as pb
from tiercel.wire.checks import check_count, check_finite, check_length, check_name, check_share

MAX_SHADOWS = 8


def part_to_pb(part: TrialPart) -> pb.TrialPart:
    """Return the message for a request's part in a trial."""
    return pb.TrialPart(**vars(part))


def part_from_pb(message: pb.TrialPart, where: str) -> TrialPart:
    """Return a request's part in a trial; raises InvalidRequest for one that cannot be."""
    for field in ("policy", "incumbent"):
        check_name(getattr(message, field), where + field)
    check_length(message.fault, f"{where}fault")
    if not 0.0 < message.share < 1.0:  # NaN too
        why = "must be in (0, 1): else nothing is compared"
        raise InvalidRequest(f"{where}share", message.share, why)
    return TrialPart(**_values(message))


def shadow_to_pb(shadow: ShadowDecision) -> pb.ShadowDecision:
    """Return the message for a decision in the shadow."""
    return pb.ShadowDecision(**vars(shadow))


def shadows_from_pb(messages: Any, where: str) -> tuple[ShadowDecision, ...]:
    """Return decisions in the shadow; raises InvalidRequest for what cannot be learned from."""
    check_count(messages, where, MAX_SHADOWS)
    return tuple(_shadow_from_pb(one, f"{where}[{i}].") for i, one in enumerate(messages))


def trial_to_pb(trial: Trial) -> pb.Trial:
    """Return the message for how a trial stands."""
    values = vars(trial) | {
        "comparisons": [pb.TrialComparison(**vars(one)) for one in trial.comparisons],
        "shadow": pb.TrialShadow(**vars(trial.shadow)) if trial.shadow else None,
    }
    return pb.Trial(**values)


def trial_from_pb(message: pb.Trial) -> Trial:
    """Return how a trial stands; raises InvalidRequest for a share that is none."""
    check_share(message.share, "share")
    shadow = TrialShadow(**_values(message.shadow)) if message.HasField("shadow") else None
    comparisons = tuple(TrialComparison(**_values(one)) for one in message.comparisons)
    return Trial(**_values(message) | {"comparisons": comparisons, "shadow": shadow})


def _shadow_from_pb(message: pb.ShadowDecision, where: str) -> ShadowDecision:
    for field in ("policy", "incumbent"):
        check_name(getattr(message, field), where + field)
    check_length(message.plan_name, f"{where}plan_name")
    check_share(message.agreement, f"{where}agreement")
    check_finite(message.utility_gain, f"{where}utility_gain")
    gain = message.utility_gain if message.HasField("utility_gain") else None
    return ShadowDecision(**_values(message) | {"utility_gain": gain})


def _values(message: Message) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
