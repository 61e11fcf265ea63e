"""What the router says of a request, from what was decided and how the answer ended."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import replace

from services.router.call import Call
from services.router.cascade.escalation import Escalation
from services.router.deciding import Decided
from tiercel.decoding import in_force
from tiercel.learning import LearnedPolicy, Outcome
from tiercel.replies import Decision, Finished
from tiercel.rules import is_lossy
from tiercel.sessions import Ask, SessionEnd
from tiercel.types import Plan, Usage


def decision(decided: Decided, plan: Plan, learned: LearnedPolicy, compute_s: float) -> Decision:
    """Return the decision under a new id; `plan` has every address filled in."""
    return Decision(
        decision_id=uuid.uuid4().hex,
        plan=plan,
        plan_name=decided.plan_name,
        policy=decided.policy,
        propensity=decided.propensity,
        candidates=decided.candidates,
        reason=decided.reason,
        compute_s=compute_s,
        forced=decided.forced,
        insufficient_evidence=decided.insufficient_evidence,
        predictor_digest=decided.predictor_digest,
        policy_epoch=learned.epoch,
        policy_version=learned.version,
    )


def timed(end: SessionEnd, first_token_s: float, total_s: float) -> SessionEnd:
    """Return the end with times as the router's caller sees them, waits and failovers included."""
    usage = replace(end.usage, time_to_first_token_s=first_token_s, total_s=total_s)
    return replace(end, usage=usage)


def finished(end: SessionEnd, ask: Ask, answer: Escalation, decision: Decision) -> Finished:
    """Return the end of an answer."""
    rule = in_force(answer.plan.acceptance)
    return Finished(
        reason=end.reason,
        usage=end.usage,
        seed=ask.sampling.seed,
        exact=answer.exact,
        stop_string=end.stop_string,
        lossy_rules=(rule,) if is_lossy(rule) else (),
        num_failovers=answer.num_failovers,
        decision_id=decision.decision_id,
        rule_use=end.rule_use,
        stages=answer.stages,
        plan_name=answer.plan_name,
    )


def outcome(
    call: Call,
    decided: Decided,
    decision: Decision,
    answer: Escalation,
    end: SessionEnd,
    *,
    prices: Mapping[str, float],
) -> Outcome:
    """Return what feedback learns from, with the plan in force at the end.

    `prices` are those of a second of each tier's work. Texts that a larger root judged are left out
    of the pairs: they say nothing of drafting.
    """
    judged = answer.overruled
    pairs = (one for one in end.usage.pairs if (one.drafter, one.verifier) not in judged)
    return replace(
        _begun(call, decided, decision),
        usage=replace(end.usage, pairs=tuple(pairs)),
        plan=answer.plan,
        reason=end.reason,
        stages=answer.stages,
        rule_use=end.rule_use,
        cost=cost_of(end.usage, prices),
        predicted_quality=decided.predicted.get(answer.plan_name),
    )


def cost_of(usage: Usage, prices: Mapping[str, float]) -> float | None:
    """Return the seconds of work of each tier times its price, 1 if it has none.

    None if no tier said how long it worked.
    """
    worked = [(one.tier, one.compute_s + one.prefill_s) for one in usage.tiers]
    if not any(seconds for _, seconds in worked):
        return None
    return sum(prices.get(tier, 1.0) * seconds for tier, seconds in worked)


def failed_outcome(call: Call, decided: Decided, decision: Decision, why: str) -> Outcome:
    """Return what feedback is told of a request that got no whole answer.

    What was done for it is left out: nobody knows how it would have gone on.
    """
    total_s = time.monotonic() - call.arrived
    begun = _begun(call, decided, decision)
    return replace(begun, failure=why, usage=replace(begun.usage, total_s=total_s))


def _begun(call: Call, decided: Decided, decision: Decision) -> Outcome:
    """Return what is known before the first token."""
    return Outcome(
        event_id=uuid.uuid4().hex,
        usage=Usage(0, 0),
        decision_id=decision.decision_id,
        request_id=call.ask.request_id,
        kind=call.kind,
        plan_name=decision.plan_name,
        plan=decision.plan,
        propensity=decision.propensity,
        candidates=decision.candidates,
        policy=decision.policy,
        policy_epoch=decision.policy_epoch,
        policy_version=decision.policy_version,
        forced=decision.forced,
        session_id=call.session_id,
        num_outstanding=call.num_outstanding,
        trial=decided.trial,
        shadows=decided.shadows,
    )
