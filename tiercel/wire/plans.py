"""Plans to protobuf and back."""

import math

from tiercel.errors import InvalidRequest
from tiercel.rules import NOTHING_TO_LEARN, is_lossy
from tiercel.types import Acceptance, Evidence, Plan, Rule
from tiercel.v1 import decoding_pb2 as pb

MAX_SPECULATIVE_TOKENS = 64
MIN_AGREEING = 2
# The protocol names each rule, and each kind of evidence, as the domain does.
_RULES = {rule: pb.AcceptanceRule.Value(f"ACCEPTANCE_RULE_{rule.name}") for rule in Rule}
_RULES_BACK = {number: rule for rule, number in _RULES.items()} | {
    pb.ACCEPTANCE_RULE_UNSPECIFIED: Rule.EXACT
}
_EVIDENCE = {kind: pb.DraftEvidence.Value(f"DRAFT_EVIDENCE_{kind.name}") for kind in Evidence}
_EVIDENCE_BACK = {number: kind for kind, number in _EVIDENCE.items()} | {
    pb.DRAFT_EVIDENCE_UNSPECIFIED: Evidence.NONE
}


def plan_to_pb(plan: Plan) -> pb.Plan:
    """Return the message for `plan` and everything below it."""
    return pb.Plan(
        version=plan.version,
        tier=plan.tier,
        address=plan.address,
        acceptance=acceptance_to_pb(plan.acceptance),
        num_speculative_tokens=plan.num_speculative_tokens,
        draft_confidence=plan.draft_confidence,
        drafters=[plan_to_pb(drafter) for drafter in plan.drafters],
    )


def plan_from_pb(message: pb.Plan) -> Plan:
    """Return the plan; raises InvalidRequest for a value out of range at any depth."""
    return Plan(
        version=message.version,
        tier=message.tier,
        address=message.address,
        acceptance=acceptance_from_pb(message.acceptance),
        num_speculative_tokens=_num_speculative_tokens(message),
        draft_confidence=_draft_confidence(message.draft_confidence),
        drafters=tuple(plan_from_pb(drafter) for drafter in message.drafters),
    )


def rule_to_pb(rule: Rule) -> pb.AcceptanceRule.ValueType:
    """Return the rule's number."""
    return _RULES[rule]


def acceptance_to_pb(acceptance: Acceptance) -> pb.Acceptance:
    """Return the message; `num_agreeing` is set where it has a meaning."""
    message = pb.Acceptance(rule=_RULES[acceptance.rule], strictness=acceptance.strictness)
    if acceptance.rule is Rule.AGREEMENT:
        message.num_agreeing = acceptance.num_agreeing
    message.learned = acceptance.learned
    return message


def evidence_to_pb(evidence: Evidence) -> pb.DraftEvidence.ValueType:
    """Return the number of a kind of evidence."""
    return _EVIDENCE[evidence]


def evidence_from_pb(number: pb.DraftEvidence.ValueType) -> Evidence:
    """Return the kind of evidence; raises InvalidRequest for an unknown one."""
    if number not in _EVIDENCE_BACK:
        raise InvalidRequest("evidence", number, "unknown kind of evidence")
    return _EVIDENCE_BACK[number]


def acceptance_from_pb(message: pb.Acceptance) -> Acceptance:
    """Return the rule and its strictness; raises InvalidRequest for one that cannot be honoured."""
    if message.rule not in _RULES_BACK:
        raise InvalidRequest("acceptance.rule", message.rule, "unknown rule")
    rule = _RULES_BACK[message.rule]
    default = 0.0 if message.learned else 1.0
    strictness = message.strictness if message.HasField("strictness") else default
    if not 0.0 <= strictness <= 1.0:
        raise InvalidRequest("acceptance.strictness", strictness, "must be in [0, 1]")
    if message.learned and not is_lossy(rule):
        raise InvalidRequest("acceptance.learned", True, NOTHING_TO_LEARN)
    if rule is Rule.EXACT and strictness != 1.0:
        raise InvalidRequest("acceptance.strictness", strictness, "EXACT has strictness 1")
    return Acceptance(rule, strictness, _num_agreeing(message), message.learned)


def _num_agreeing(message: pb.Acceptance) -> int:
    if not message.HasField("num_agreeing"):
        return Acceptance.num_agreeing
    if message.num_agreeing < MIN_AGREEING:
        why = f"must be at least {MIN_AGREEING}"
        raise InvalidRequest("acceptance.num_agreeing", message.num_agreeing, why)
    return message.num_agreeing


def _num_speculative_tokens(message: pb.Plan) -> int:
    if not message.HasField("num_speculative_tokens"):
        return Plan.num_speculative_tokens
    number = message.num_speculative_tokens
    if number > MAX_SPECULATIVE_TOKENS:
        why = f"must be at most {MAX_SPECULATIVE_TOKENS}"
        raise InvalidRequest("num_speculative_tokens", number, why)
    return number


def _draft_confidence(value: float) -> float:
    if not math.isfinite(value) or not 0.0 <= value <= 1.0:
        raise InvalidRequest("draft_confidence", value, "must be in [0, 1]")
    return value
