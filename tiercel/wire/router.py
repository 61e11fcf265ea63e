"""What the router is asked and what it sends, to protobuf and back: the router's side."""

import math
import uuid
from collections.abc import Callable
from dataclasses import replace

from tiercel.errors import InvalidRequest
from tiercel.replies import (
    Committed,
    Decision,
    Finished,
    Overview,
    Replica,
    ReplicaState,
    Revise,
)
from tiercel.routing.policy import Wishes
from tiercel.sessions import Ask, Delivery, Objective, SessionEnd
from tiercel.v1 import decoding_pb2, router_pb2
from tiercel.wire.answers import committed_to_pb, end_to_pb
from tiercel.wire.checks import MAX_NAME_LENGTH
from tiercel.wire.constraints import constraint_from_pb
from tiercel.wire.decisions import candidate_to_pb, stage_to_pb
from tiercel.wire.descriptions import description_to_pb
from tiercel.wire.outlines import outline_from_pb
from tiercel.wire.plans import acceptance_from_pb, plan_to_pb, rule_to_pb
from tiercel.wire.requests import (
    num_top_logprobs_from_pb,
    prompt_from_pb,
    sampling_from_pb,
    stop_from_pb,
)
from tiercel.wire.results import to_ns

_STATES = {
    ReplicaState.READY: router_pb2.REPLICA_STATE_READY,
    ReplicaState.NOT_READY: router_pb2.REPLICA_STATE_NOT_READY,
    ReplicaState.UNREACHABLE: router_pb2.REPLICA_STATE_UNREACHABLE,
}
_DELIVERIES: dict[int, Delivery] = {
    router_pb2.DELIVERY_UNSPECIFIED: Delivery.STREAM,
    router_pb2.DELIVERY_STREAM: Delivery.STREAM,
    router_pb2.DELIVERY_HOLD: Delivery.HOLD,
    router_pb2.DELIVERY_REVISE: Delivery.REVISE,
}


def ask_from_pb(
    message: router_pb2.GenerateRequest | router_pb2.RouteRequest, *, draw_seed: Callable[[], int]
) -> Ask:
    """Return what is asked; a missing seed is drawn, a missing id made.

    Raises InvalidRequest for a value that cannot be honoured.
    """
    sampling = message.sampling
    if not sampling.HasField("seed"):
        sampling = decoding_pb2.SamplingParams()
        sampling.CopyFrom(message.sampling)
        sampling.seed = draw_seed()
    ask = Ask(
        request_id=uuid.uuid4().hex,
        prompt=prompt_from_pb(message.prompt),
        sampling=sampling_from_pb(sampling),
        # The model's own end tokens are the tier's to know.
        stop=stop_from_pb(message.stop, eos_ids=frozenset()),
        ignore_eos=message.stop.ignore_eos,
        kind=kind_from_pb(message.kind),
    )
    if isinstance(message, router_pb2.RouteRequest):
        return ask
    return replace(
        ask,
        request_id=_name(message.request_id, "request_id") or ask.request_id,
        logprobs=message.logprobs,
        num_top_logprobs=num_top_logprobs_from_pb(message.num_top_logprobs),
        constraint=constraint_from_pb(message),
    )


def kind_from_pb(kind: str) -> str:
    """Return the kind of request; raises InvalidRequest for a word that is too long."""
    return _name(kind, "kind")


def session_id_from_pb(session_id: str) -> str:
    """Return the conversation's id, or nothing; raises InvalidRequest for one that is too long."""
    return _name(session_id, "session_id")


def objective_from_pb(message: router_pb2.Objective) -> Objective:
    """Return what the caller wants of the plan.

    Raises InvalidRequest for a bad plan, and for a wish that is out of range or of no number.
    """
    outline = outline_from_pb(message.plan) if message.HasField("plan") else None
    asked = message.HasField("acceptance")
    acceptance = acceptance_from_pb(message.acceptance) if asked else None
    if message.delivery not in _DELIVERIES:
        raise InvalidRequest("objective.delivery", message.delivery, "no such delivery")
    return Objective(
        message.plan_name,
        outline,
        message.policy,
        acceptance,
        _wishes_from_pb(message),
        _DELIVERIES[message.delivery],
    )


def reply_to_pb(reply: Decision | Committed | Finished | Revise) -> router_pb2.GenerateResponse:
    """Return the message for one part of an answer."""
    if isinstance(reply, Decision):
        return router_pb2.GenerateResponse(decision=decision_to_pb(reply))
    if isinstance(reply, Committed):
        return router_pb2.GenerateResponse(committed=committed_to_pb(reply))
    if isinstance(reply, Revise):
        return router_pb2.GenerateResponse(revise=_revise_to_pb(reply))
    return router_pb2.GenerateResponse(finished=finished_to_pb(reply))


def decision_to_pb(decision: Decision) -> router_pb2.Decision:
    """Return the message for what was decided."""
    return router_pb2.Decision(
        decision_id=decision.decision_id,
        plan=plan_to_pb(decision.plan),
        plan_name=decision.plan_name,
        policy=decision.policy,
        propensity=decision.propensity,
        candidates=[candidate_to_pb(candidate) for candidate in decision.candidates],
        reason=decision.reason,
        compute_ns=to_ns(decision.compute_s),
        forced=decision.forced,
        insufficient_evidence=decision.insufficient_evidence,
        predictor_digest=decision.predictor_digest,
        policy_epoch=decision.policy_epoch,
        policy_version=decision.policy_version,
    )


def finished_to_pb(finished: Finished) -> router_pb2.GenerateFinished:
    """Return the message for the end of an answer."""
    held, not_held = router_pb2.EXACTNESS_HELD, router_pb2.EXACTNESS_NOT_HELD
    use = finished.rule_use
    end = SessionEnd(finished.reason, finished.usage, finished.stop_string, use)
    return router_pb2.GenerateFinished(
        finished=end_to_pb(end),
        seed=finished.seed,
        exactness=held if finished.exact else not_held,
        lossy_rules=[rule_to_pb(rule) for rule in finished.lossy_rules],
        num_failovers=finished.num_failovers,
        decision_id=finished.decision_id,
        stages=[stage_to_pb(stage) for stage in finished.stages],
        plan_name=finished.plan_name,
    )


def overview_to_pb(overview: Overview) -> router_pb2.ListTiersResponse:
    """Return the message for the states of all replicas, and the plans."""
    plans = (
        router_pb2.NamedPlan(name=one.name, plan=plan_to_pb(one.plan), is_default=one.is_default)
        for one in overview.plans
    )
    replicas = (_replica_to_pb(replica) for replica in overview.replicas)
    return router_pb2.ListTiersResponse(replicas=replicas, plans=plans)


def _replica_to_pb(replica: Replica) -> router_pb2.Replica:
    return router_pb2.Replica(
        tier=replica.tier,
        address=replica.address,
        state=_STATES[replica.state],
        num_outstanding=replica.num_outstanding,
        description=description_to_pb(replica.description) if replica.description else None,
        problem=replica.problem,
    )


def _revise_to_pb(revise: Revise) -> router_pb2.Revise:
    return router_pb2.Revise(
        from_position=revise.from_position,
        text_length=revise.text_length,
        decision=stage_to_pb(revise.decision),
    )


def _wishes_from_pb(message: router_pb2.Objective) -> Wishes:
    wishes = Wishes(
        cost_weight=message.cost_weight if message.HasField("cost_weight") else None,
        target_quality=message.target_quality if message.HasField("target_quality") else None,
        max_seconds=message.max_seconds if message.HasField("max_seconds") else None,
        max_cost=message.max_cost if message.HasField("max_cost") else None,
    )
    for name, value in vars(wishes).items():
        if value is not None:
            _check_wish(name, value)
    return wishes


def _check_wish(name: str, value: float) -> None:
    if name == "cost_weight" and not 0.0 <= value < math.inf:  # NaN too
        raise InvalidRequest("objective.cost_weight", value, "must be 0 or more, and finite")
    if name == "target_quality" and not 0.0 < value < 1.0:
        raise InvalidRequest("objective.target_quality", value, "must be above 0 and below 1")
    if name in ("max_seconds", "max_cost") and not 0.0 < value < math.inf:
        raise InvalidRequest(f"objective.{name}", value, "must be above 0, and finite")


def _name(name: str, field: str) -> str:
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidRequest(field, name, f"must have at most {MAX_NAME_LENGTH} characters")
    return name
