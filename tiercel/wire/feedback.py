"""Outcomes, ratings and learned policies to protobuf and back."""

import math
from collections.abc import Sequence

from tiercel.errors import InvalidRequest
from tiercel.learning import LearnedPolicy, Outcome, PairPolicy, Rating
from tiercel.v1 import decoding_pb2, feedback_pb2
from tiercel.wire.plans import plan_from_pb, plan_to_pb
from tiercel.wire.results import reason_from_pb, reason_to_pb, usage_from_pb, usage_to_pb

MAX_OUTCOMES = 256  # in one report
MAX_PAIRS = 64  # and tiers, in one outcome
MAX_POSITIONS = 64
MAX_NAME_LENGTH = 128
MAX_COMPUTE_NS = 24 * 3600 * 10**9


def outcome_to_pb(outcome: Outcome) -> feedback_pb2.Outcome:
    """Return the message for an outcome."""
    return feedback_pb2.Outcome(
        event_id=outcome.event_id,
        decision_id=outcome.decision_id,
        request_id=outcome.request_id,
        kind=outcome.kind,
        plan_name=outcome.plan_name,
        plan=plan_to_pb(outcome.plan) if outcome.plan else None,
        propensity=outcome.propensity,
        reason=reason_to_pb(outcome.reason),
        usage=usage_to_pb(outcome.usage),
    )


def outcomes_from_pb(messages: Sequence[feedback_pb2.Outcome]) -> list[Outcome]:
    """Return the outcomes; raises InvalidRequest if there are too many or one is bad."""
    _check_count(messages, "outcomes", MAX_OUTCOMES)
    return [
        outcome_from_pb(message, f"outcomes[{index}].") for index, message in enumerate(messages)
    ]


def outcome_from_pb(message: feedback_pb2.Outcome, where: str = "") -> Outcome:
    """Return the outcome; raises InvalidRequest for a value that may not be learned from.

    `where` goes before the names of fields in that error.
    """
    _check_name(message.event_id, f"{where}event_id")
    for field in ("decision_id", "request_id", "kind", "plan_name"):
        _check_length(getattr(message, field), where + field)
    _check_share(message.propensity, f"{where}propensity")
    _check_usage(message.usage, f"{where}usage.")
    return Outcome(
        event_id=message.event_id,
        decision_id=message.decision_id,
        request_id=message.request_id,
        kind=message.kind,
        plan_name=message.plan_name,
        plan=plan_from_pb(message.plan) if message.HasField("plan") else None,
        propensity=message.propensity,
        reason=reason_from_pb(message.reason),
        usage=usage_from_pb(message.usage),
    )


def rating_to_pb(rating: Rating) -> feedback_pb2.RateRequest:
    """Return the message for a rating."""
    return feedback_pb2.RateRequest(
        event_id=rating.event_id,
        decision_id=rating.decision_id,
        score=rating.score,
        rater=rating.rater,
    )


def rating_from_pb(message: feedback_pb2.RateRequest) -> Rating:
    """Return the rating; raises InvalidRequest for a missing name or a score outside [0, 1]."""
    for field in ("event_id", "decision_id", "rater"):
        _check_name(getattr(message, field), field)
    _check_share(message.score, "score")
    return Rating(message.event_id, message.decision_id, message.score, message.rater)


def policy_to_pb(policy: LearnedPolicy) -> feedback_pb2.LearnedPolicy:
    """Return the message for everything learned."""
    return feedback_pb2.LearnedPolicy(
        epoch=policy.epoch,
        version=policy.version,
        pairs=[_pair_policy_to_pb(pair) for pair in policy.pairs],
    )


def policy_from_pb(message: feedback_pb2.LearnedPolicy) -> LearnedPolicy:
    """Return everything learned; raises InvalidRequest for a value that nobody can follow."""
    pairs = tuple(_pair_policy_from_pb(pair) for pair in message.pairs)
    return LearnedPolicy(message.epoch, message.version, pairs)


def _pair_policy_to_pb(pair: PairPolicy) -> feedback_pb2.PairPolicy:
    return feedback_pb2.PairPolicy(
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


def _pair_policy_from_pb(message: feedback_pb2.PairPolicy) -> PairPolicy:
    _check_share(message.draft_confidence, "draft_confidence")
    _check_share(message.acceptance_rate, "acceptance_rate")
    for field in ("draft_ns_per_token", "verify_ns_per_pass"):
        value = getattr(message, field)
        if not 0.0 <= value <= MAX_COMPUTE_NS:
            raise InvalidRequest(field, value, "must be a time of at most a day")
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


def _check_usage(usage: decoding_pb2.Usage, where: str) -> None:
    _check_count(usage.pairs, f"{where}pairs", MAX_PAIRS)
    _check_count(usage.tiers, f"{where}tiers", MAX_PAIRS)
    for index, pair in enumerate(usage.pairs):
        _check_pair(pair, f"{where}pairs[{index}].")
    for index, tier in enumerate(usage.tiers):
        _check_name(tier.tier, f"{where}tiers[{index}].tier")
        _check_compute(tier.compute_ns, f"{where}tiers[{index}].compute_ns")
        _check_compute(tier.prefill_ns, f"{where}tiers[{index}].prefill_ns")


def _check_pair(pair: decoding_pb2.PairStats, where: str) -> None:
    _check_name(pair.drafter, f"{where}drafter")
    _check_name(pair.verifier, f"{where}verifier")
    _check_count(pair.accepted_per_position, f"{where}accepted_per_position", MAX_POSITIONS)
    _check_compute(pair.draft_compute_ns, f"{where}draft_compute_ns")
    if pair.num_accepted_tokens + pair.num_rejected_tokens > pair.num_draft_tokens:
        why = "more tokens are accepted and rejected than were drafted"
        raise InvalidRequest(f"{where}num_draft_tokens", pair.num_draft_tokens, why)
    if not 0.0 <= pair.total_variation <= pair.num_compared:  # NaN too
        why = "must be from 0 to num_compared"
        raise InvalidRequest(f"{where}total_variation", pair.total_variation, why)


def _check_name(name: str, field: str) -> None:
    if not name:
        raise InvalidRequest(field, name, "must be set")
    _check_length(name, field)


def _check_length(text: str, field: str) -> None:
    if len(text) > MAX_NAME_LENGTH:
        raise InvalidRequest(field, text, f"must have at most {MAX_NAME_LENGTH} characters")


def _check_count(entries: Sequence[object], field: str, limit: int) -> None:
    if len(entries) > limit:
        raise InvalidRequest(field, len(entries), f"at most {limit} entries")


def _check_share(value: float, field: str) -> None:
    if not math.isfinite(value) or not 0.0 <= value <= 1.0:
        raise InvalidRequest(field, value, "must be in [0, 1]")


def _check_compute(nanoseconds: int, field: str) -> None:
    if nanoseconds > MAX_COMPUTE_NS:
        raise InvalidRequest(field, nanoseconds, "must be at most a day")
