"""Learned policies and their history, to protobuf and back."""

from typing import Any

from google.protobuf.message import DecodeError, Message

from tiercel.errors import InvalidRequest
from tiercel.learning import (
    Change,
    LearnedPolicy,
    PacingPolicy,
    PairPolicy,
    RootQuality,
    StrictnessPolicy,
    TierPolicy,
)
from tiercel.v1 import feedback_pb2 as pb
from tiercel.wire.checks import check_compute, check_share, check_weight
from tiercel.wire.feedback import rule_from_pb
from tiercel.wire.plans import rule_to_pb
from tiercel.wire.trials import trial_from_pb, trial_to_pb


def policy_to_pb(policy: LearnedPolicy) -> pb.LearnedPolicy:
    """Return the message for everything learned."""
    return pb.LearnedPolicy(
        epoch=policy.epoch,
        version=policy.version,
        pairs=[_pair_to_pb(one) for one in policy.pairs],
        strictness=[_strictness_to_pb(one) for one in policy.strictness],
        tiers=[pb.TierPolicy(**vars(one)) for one in policy.tiers],
        qualities=[pb.RootQuality(**vars(one)) for one in policy.qualities],
        cost_weight=policy.cost_weight,
        frozen=policy.frozen,
        frozen_reason=policy.frozen_reason,
        trials=[trial_to_pb(one) for one in policy.trials],
        pacing=pb.PacingPolicy(**vars(policy.pacing)) if policy.pacing else None,
    )


def policy_from_pb(message: pb.LearnedPolicy) -> LearnedPolicy:
    """Return everything learned; raises InvalidRequest for a value that nobody can follow."""
    return LearnedPolicy(
        epoch=message.epoch,
        version=message.version,
        pairs=tuple(_pair_from_pb(one) for one in message.pairs),
        strictness=tuple(_strictness_from_pb(one) for one in message.strictness),
        tiers=tuple(TierPolicy(**_values(one)) for one in message.tiers),
        qualities=tuple(_quality_from_pb(one) for one in message.qualities),
        cost_weight=_cost_weight(message),
        frozen=message.frozen,
        frozen_reason=message.frozen_reason,
        trials=tuple(trial_from_pb(one) for one in message.trials),
        pacing=_pacing_from_pb(message.pacing) if message.HasField("pacing") else None,
    )


def policy_to_bytes(policy: LearnedPolicy) -> bytes:
    """Return a policy to be kept."""
    return policy_to_pb(policy).SerializeToString()


def policy_from_bytes(data: bytes) -> LearnedPolicy:
    """Return a policy that was kept; raises InvalidRequest for what is none."""
    try:
        return policy_from_pb(pb.LearnedPolicy.FromString(data))
    except DecodeError as error:
        raise InvalidRequest("policy", len(data), f"cannot be read: {error}") from None


def change_to_pb(change: Change) -> pb.Change:
    """Return the message for a change that is remembered."""
    return pb.Change(**vars(change))


def change_from_pb(message: pb.Change) -> Change:
    """Return a change that is remembered."""
    return Change(**_values(message))


def _pair_to_pb(pair: PairPolicy) -> pb.PairPolicy:
    return pb.PairPolicy(
        drafter=pair.drafter,
        verifier=pair.verifier,
        kind=pair.kind,
        num_speculative_tokens=pair.num_speculative_tokens,
        draft_confidence=pair.draft_confidence,
        acceptance_rate=pair.acceptance_rate,
        num_judged_tokens=pair.num_judged_tokens,
        draft_ns_per_token=pair.draft_s_per_token * 1e9,
        verify_ns_per_pass=pair.verify_s_per_pass * 1e9,
    )


def _pair_from_pb(message: pb.PairPolicy) -> PairPolicy:
    check_share(message.draft_confidence, "draft_confidence")
    check_share(message.acceptance_rate, "acceptance_rate")
    for field in ("draft_ns_per_token", "verify_ns_per_pass"):
        check_compute(getattr(message, field), field)
    return PairPolicy(
        drafter=message.drafter,
        verifier=message.verifier,
        kind=message.kind,
        num_speculative_tokens=message.num_speculative_tokens,
        draft_confidence=message.draft_confidence,
        acceptance_rate=message.acceptance_rate,
        num_judged_tokens=message.num_judged_tokens,
        draft_s_per_token=message.draft_ns_per_token / 1e9,
        verify_s_per_pass=message.verify_ns_per_pass / 1e9,
    )


def _strictness_to_pb(one: StrictnessPolicy) -> pb.StrictnessPolicy:
    return pb.StrictnessPolicy(**vars(one) | {"rule": rule_to_pb(one.rule)})


def _strictness_from_pb(message: pb.StrictnessPolicy) -> StrictnessPolicy:
    for field in ("strictness", "target_divergence", "divergence", "harm_bound"):
        check_share(getattr(message, field), field)
    values = _values(message) | {"rule": rule_from_pb(message.rule, "rule")}
    if not message.HasField("target_divergence"):
        values["target_divergence"] = None
    return StrictnessPolicy(**values)


def _quality_from_pb(message: pb.RootQuality) -> RootQuality:
    for field in ("mean", "lower", "upper"):
        check_share(getattr(message, field), field)
    check_share(abs(message.excess), "excess")
    check_weight(message.num_ratings, "num_ratings")
    check_weight(message.num_predicted, "num_predicted")
    return RootQuality(**_values(message))


def _cost_weight(message: pb.LearnedPolicy) -> float | None:
    check_weight(message.cost_weight, "cost_weight")
    return message.cost_weight if message.HasField("cost_weight") else None


def _pacing_from_pb(message: pb.PacingPolicy) -> PacingPolicy:
    for field in ("target_mean_cost", "mean_cost", "num_answers"):
        check_weight(getattr(message, field), field)
    return PacingPolicy(**_values(message))


def _values(message: Message) -> dict[str, Any]:
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
