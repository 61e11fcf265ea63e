"""What the router sends, from protobuf: decisions, committed tokens, ends, states of tiers."""

from collections.abc import Iterable

from tiercel.replies import (
    Committed,
    Decision,
    Finished,
    NamedPlan,
    Overview,
    Replica,
    ReplicaState,
    Revise,
)
from tiercel.types import Rule
from tiercel.v1 import decoding_pb2, router_pb2
from tiercel.wire.decisions import candidate_from_pb, stage_from_pb
from tiercel.wire.descriptions import description_from_pb
from tiercel.wire.plans import acceptance_from_pb, plan_from_pb
from tiercel.wire.results import (
    evidence_of_tokens_from_pb,
    logprob_from_pb,
    reason_from_pb,
    replacement_from_pb,
    rule_use_from_pb,
    spans_from_pb,
    to_s,
    usage_from_pb,
)

_STATES: dict[int, ReplicaState] = {
    router_pb2.REPLICA_STATE_READY: ReplicaState.READY,
    router_pb2.REPLICA_STATE_NOT_READY: ReplicaState.NOT_READY,
}


def decision_from_pb(message: router_pb2.Decision) -> Decision:
    """Return what was decided."""
    return Decision(
        decision_id=message.decision_id,
        plan=plan_from_pb(message.plan),
        plan_name=message.plan_name,
        policy=message.policy,
        propensity=message.propensity,
        candidates=tuple(candidate_from_pb(candidate) for candidate in message.candidates),
        reason=message.reason,
        compute_s=to_s(message.compute_ns),
        forced=message.forced,
        insufficient_evidence=message.insufficient_evidence,
        predictor_digest=message.predictor_digest,
        policy_epoch=message.policy_epoch,
        policy_version=message.policy_version,
    )


def revise_from_pb(message: router_pb2.Revise) -> Revise:
    """Return what is taken back, and why."""
    return Revise(message.from_position, message.text_length, stage_from_pb(message.decision))


def committed_from_pb(message: decoding_pb2.Committed) -> Committed:
    """Return the tokens and the text that came with them."""
    return Committed(
        position=message.position,
        token_ids=tuple(message.token_ids),
        text=message.text,
        spans=spans_from_pb(message.spans),
        text_lengths=tuple(message.text_lengths),
        logprobs=tuple(logprob_from_pb(entry) for entry in message.logprobs),
        plan_version=message.plan_version,
        compute_s=to_s(message.compute_ns),
        replacements=tuple(replacement_from_pb(one) for one in message.replacements),
        evidence=evidence_of_tokens_from_pb(message.evidence),
    )


def finished_from_pb(message: router_pb2.GenerateFinished) -> Finished:
    """Return the end of an answer."""
    end = message.finished
    return Finished(
        reason=reason_from_pb(end.reason),
        usage=usage_from_pb(end.usage),
        seed=message.seed,
        exact=message.exactness == router_pb2.EXACTNESS_HELD,
        stop_string=end.stop_string,
        lossy_rules=_rules_from_pb(message.lossy_rules),
        num_failovers=message.num_failovers,
        decision_id=message.decision_id,
        rule_use=rule_use_from_pb(end.rule_use) if end.HasField("rule_use") else None,
        stages=tuple(stage_from_pb(stage) for stage in message.stages),
        plan_name=message.plan_name,
    )


def overview_from_pb(message: router_pb2.ListTiersResponse) -> Overview:
    """Return the states of all replicas, and the plans."""
    plans = (NamedPlan(one.name, plan_from_pb(one.plan), one.is_default) for one in message.plans)
    replicas = (_replica_from_pb(replica) for replica in message.replicas)
    return Overview(tuple(replicas), tuple(plans))


def _rules_from_pb(
    rules: Iterable[decoding_pb2.AcceptanceRule.ValueType],
) -> tuple[Rule, ...]:
    return tuple(acceptance_from_pb(decoding_pb2.Acceptance(rule=rule)).rule for rule in rules)


def _replica_from_pb(message: router_pb2.Replica) -> Replica:
    described = message.HasField("description")
    return Replica(
        tier=message.tier,
        address=message.address,
        state=_STATES.get(message.state, ReplicaState.UNREACHABLE),
        num_outstanding=message.num_outstanding,
        description=description_from_pb(message.description) if described else None,
        problem=message.problem,
    )
