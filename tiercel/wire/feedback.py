"""Events to learn from, and ratings, to protobuf and back; what is unsound is refused."""

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from tiercel.errors import InvalidRequest
from tiercel.learning import Audit, DraftScore, Event, Outcome, Rating
from tiercel.types import Rule
from tiercel.v1 import decoding_pb2, feedback_pb2
from tiercel.wire.checks import (
    check_compute,
    check_cost,
    check_count,
    check_finite,
    check_length,
    check_name,
    check_share,
)
from tiercel.wire.decisions import candidate_from_pb, candidate_to_pb, stage_from_pb, stage_to_pb
from tiercel.wire.plans import acceptance_from_pb, plan_from_pb, plan_to_pb, rule_to_pb
from tiercel.wire.results import (
    reason_from_pb,
    reason_to_pb,
    rule_use_from_pb,
    rule_use_to_pb,
    usage_from_pb,
    usage_to_pb,
)
from tiercel.wire.trials import part_from_pb, part_to_pb, shadow_to_pb, shadows_from_pb

MAX_EVENTS = 256  # of one sort, in one report
MAX_PAIRS = 64  # and tiers, candidates and stages, in one outcome
MAX_POSITIONS = 64
METHODS = ("score", "judge", "likelihood")
_NAMES = (
    "decision_id",
    "request_id",
    "kind",
    "plan_name",
    "policy",
    "policy_epoch",
    "session_id",
    "failure",
)


def report_to_pb(events: Sequence[Event]) -> feedback_pb2.ReportRequest:
    """Return the message for events of any sorts."""
    return feedback_pb2.ReportRequest(
        outcomes=[outcome_to_pb(one) for one in events if isinstance(one, Outcome)],
        draft_scores=[
            feedback_pb2.DraftScore(**vars(one)) for one in events if isinstance(one, DraftScore)
        ],
        audits=[_audit_to_pb(one) for one in events if isinstance(one, Audit)],
    )


def events_from_pb(message: feedback_pb2.ReportRequest) -> list[Event]:
    """Return the events; raises InvalidRequest if there are too many or one is bad."""
    for field in ("outcomes", "draft_scores", "audits"):
        check_count(getattr(message, field), field, MAX_EVENTS)
    return [
        *(outcome_from_pb(one, f"outcomes[{i}].") for i, one in enumerate(message.outcomes)),
        *(_score_from_pb(one, f"draft_scores[{i}].") for i, one in enumerate(message.draft_scores)),
        *(_audit_from_pb(one, f"audits[{i}].") for i, one in enumerate(message.audits)),
    ]


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
        candidates=[candidate_to_pb(one) for one in outcome.candidates],
        policy=outcome.policy,
        policy_epoch=outcome.policy_epoch,
        policy_version=outcome.policy_version,
        forced=outcome.forced,
        stages=[stage_to_pb(one) for one in outcome.stages],
        rule_use=rule_use_to_pb(outcome.rule_use) if outcome.rule_use else None,
        session_id=outcome.session_id,
        num_outstanding=outcome.num_outstanding,
        cost=outcome.cost,
        predicted_quality=outcome.predicted_quality,
        failure=outcome.failure,
        trial=part_to_pb(outcome.trial) if outcome.trial else None,
        shadows=[shadow_to_pb(one) for one in outcome.shadows],
    )


def outcome_from_pb(message: feedback_pb2.Outcome, where: str = "") -> Outcome:
    """Return the outcome; raises InvalidRequest for a value that may not be learned from.

    `where` goes before the names of fields in that error.
    """
    _check_outcome(message, where)
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
        candidates=tuple(candidate_from_pb(one) for one in message.candidates),
        policy=message.policy,
        policy_epoch=message.policy_epoch,
        policy_version=message.policy_version,
        forced=message.forced,
        stages=tuple(stage_from_pb(one) for one in message.stages),
        rule_use=rule_use_from_pb(message.rule_use) if message.HasField("rule_use") else None,
        session_id=message.session_id,
        num_outstanding=message.num_outstanding,
        cost=message.cost if message.HasField("cost") else None,
        predicted_quality=_predicted_quality(message),
        failure=message.failure,
        trial=part_from_pb(message.trial, f"{where}trial.") if message.HasField("trial") else None,
        shadows=shadows_from_pb(message.shadows, f"{where}shadows"),
    )


def event_to_bytes(event: Event) -> bytes:
    """Return an event to be kept."""
    return report_to_pb([event]).SerializeToString()


def event_from_bytes(data: bytes) -> Event:
    """Return an event that was kept; raises InvalidRequest for what is none."""
    try:
        (event,) = events_from_pb(feedback_pb2.ReportRequest.FromString(data))
    except (DecodeError, ValueError) as error:
        raise InvalidRequest("event", len(data), f"cannot be read: {error}") from None
    return event


def _predicted_quality(message: feedback_pb2.Outcome) -> float | None:
    return message.predicted_quality if message.HasField("predicted_quality") else None


def rating_to_pb(rating: Rating) -> feedback_pb2.RateRequest:
    """Return the message for a rating."""
    return feedback_pb2.RateRequest(**vars(rating))


def rating_from_pb(message: feedback_pb2.RateRequest) -> Rating:
    """Return the rating; raises InvalidRequest for a missing name or a score outside [0, 1]."""
    for field in ("event_id", "decision_id", "rater"):
        check_name(getattr(message, field), field)
    check_share(message.score, "score")
    return Rating(message.event_id, message.decision_id, message.score, message.rater)


def _score_from_pb(message: feedback_pb2.DraftScore, where: str) -> DraftScore:
    for field in ("event_id", "drafter", "verifier"):
        check_name(getattr(message, field), where + field)
    for field in ("decision_id", "kind"):
        check_length(getattr(message, field), where + field)
    return DraftScore(
        **{field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    )


def _audit_to_pb(audit: Audit) -> feedback_pb2.Audit:
    return feedback_pb2.Audit(**vars(audit) | {"rule": rule_to_pb(audit.rule)})


def _audit_from_pb(message: feedback_pb2.Audit, where: str) -> Audit:
    check_name(message.event_id, f"{where}event_id")
    for field in ("decision_id", "kind", "policy_epoch"):
        check_length(getattr(message, field), where + field)
    for field in ("strictness", "divergence"):
        check_share(getattr(message, field), where + field)
    check_finite(message.loss, f"{where}loss")
    if message.method not in METHODS:
        raise InvalidRequest(f"{where}method", message.method, f"is none of {', '.join(METHODS)}")
    values = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    return Audit(**values | {"rule": rule_from_pb(message.rule, f"{where}rule")})


def rule_from_pb(number: decoding_pb2.AcceptanceRule.ValueType, field: str) -> Rule:
    """Return the rule; raises InvalidRequest, by the name of `field`, for one that is not known."""
    try:
        return acceptance_from_pb(decoding_pb2.Acceptance(rule=number)).rule
    except InvalidRequest:
        raise InvalidRequest(field, number, "is no rule that is known here") from None


def _check_outcome(message: feedback_pb2.Outcome, where: str) -> None:
    check_name(message.event_id, f"{where}event_id")
    for field in _NAMES:
        check_length(getattr(message, field), where + field)
    check_share(message.propensity, f"{where}propensity")
    check_share(message.predicted_quality, f"{where}predicted_quality")
    check_cost(message.cost, f"{where}cost")
    for field in ("candidates", "stages"):
        check_count(getattr(message, field), where + field, MAX_PAIRS)
    _check_usage(message.usage, f"{where}usage.")
    if message.HasField("rule_use"):
        _check_rule_use(message.rule_use, f"{where}rule_use.")


def _check_rule_use(use: decoding_pb2.RuleUse, where: str) -> None:
    rule_from_pb(use.rule, f"{where}rule")
    check_share(use.strictness, f"{where}strictness")
    check_finite(use.logprob_gap, f"{where}logprob_gap")
    if use.num_divergent_tokens > use.num_compared_tokens:
        why = "more tokens diverge than were compared"
        raise InvalidRequest(f"{where}num_divergent_tokens", use.num_divergent_tokens, why)


def _check_usage(usage: decoding_pb2.Usage, where: str) -> None:
    check_count(usage.pairs, f"{where}pairs", MAX_PAIRS)
    check_count(usage.tiers, f"{where}tiers", MAX_PAIRS)
    check_compute(usage.time_to_first_token_ns, f"{where}time_to_first_token_ns")
    for index, pair in enumerate(usage.pairs):
        _check_pair(pair, f"{where}pairs[{index}].")
    for index, tier in enumerate(usage.tiers):
        check_name(tier.tier, f"{where}tiers[{index}].tier")
        check_compute(tier.compute_ns, f"{where}tiers[{index}].compute_ns")
        check_compute(tier.prefill_ns, f"{where}tiers[{index}].prefill_ns")


def _check_pair(pair: decoding_pb2.PairStats, where: str) -> None:
    check_name(pair.drafter, f"{where}drafter")
    check_name(pair.verifier, f"{where}verifier")
    check_count(pair.accepted_per_position, f"{where}accepted_per_position", MAX_POSITIONS)
    check_compute(pair.draft_compute_ns, f"{where}draft_compute_ns")
    if pair.num_accepted_tokens + pair.num_rejected_tokens > pair.num_draft_tokens:
        why = "more tokens are accepted and rejected than were drafted"
        raise InvalidRequest(f"{where}num_draft_tokens", pair.num_draft_tokens, why)
    if not 0.0 <= pair.total_variation <= pair.num_compared:  # NaN too
        why = "must be from 0 to num_compared"
        raise InvalidRequest(f"{where}total_variation", pair.total_variation, why)
