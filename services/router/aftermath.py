"""What is kept of an answer once it has ended: in the conversation, and as a line of the log."""

import time
from typing import Any

from services.router import results
from services.router.call import Call
from services.router.conversations import Conversations
from services.router.deciding import Decided
from services.router.decision_log import DecisionLog, features_hash
from services.router.forecasts.chain_times import ChainTimes
from services.router.learning.outcomes import OutcomeReporter
from services.router.residency.demand import Demand
from tiercel.errors import TiercelError
from tiercel.replies import Decision, Finished
from tiercel.types import Usage


class Aftermath:
    """Knows what later decisions and later evaluations ask for."""

    def __init__(
        self,
        conversations: Conversations,
        times: ChainTimes,
        log: DecisionLog,
        outcomes: OutcomeReporter,
        demand: Demand | None = None,
    ) -> None:
        self._outcomes, self._demand = outcomes, demand
        self._conversations = conversations
        self._times = times
        self._log = log

    def answered(
        self, call: Call, decided: Decided, decision: Decision, finished: Finished
    ) -> None:
        """Take in an answer that came to its end."""
        escalated = any(stage.next_plan_name for stage in finished.stages)
        self._conversations.answered(call.session_id, finished.plan_name, escalated=escalated)
        self._times.compared(finished.usage.pairs)
        self._note(call, decided)
        if self._log.is_on:
            came = {
                "reason": finished.reason.value,
                "plan_name": finished.plan_name,
                "num_failovers": finished.num_failovers,
                "exact": finished.exact,
                **_counts(finished.usage),
            }
            stages = [vars(stage) for stage in finished.stages]
            self._log.put(_line(call, decided, decision) | {"stages": stages} | came)

    def failed(self, call: Call, decided: Decided, decision: Decision, why: str) -> None:
        """Take in an answer that did not: it failed, or nobody waited for its end."""
        self._note(call, decided)
        self._outcomes.put(results.failed_outcome(call, decided, decision, why))
        if self._log.is_on:
            self._log.put(_line(call, decided, decision) | {"reason": why})

    def _note(self, call: Call, decided: Decided) -> None:
        if self._demand is not None:
            self._demand.noted(decided, call.objective.wishes)


def failure_of(error: BaseException) -> str:
    """Return why there is no whole answer, in a word."""
    return type(error).__name__ if isinstance(error, TiercelError) else "cancelled"


def _line(call: Call, decided: Decided, decision: Decision) -> dict[str, Any]:
    return {
        "decision_id": decision.decision_id,
        "ts": time.time(),
        "kind": call.kind,
        "policy": decision.policy,
        "policy_epoch": decision.policy_epoch,
        "policy_version": decision.policy_version,
        "predictor_digest": decision.predictor_digest,
        "features_hash": features_hash(decided.features),
        "wishes": vars(call.objective.wishes),
        "incumbent": decided.incumbent,
        "budget_weight": decided.budget_weight,
        "candidates": [
            vars(candidate) | {"num_ratings": decided.num_ratings.get(candidate.plan_name)}
            for candidate in decision.candidates
        ],
        "chosen": decision.plan_name,
        "propensity": decision.propensity,
        "forced": decision.forced,
        "trial": vars(decided.trial) if decided.trial else None,
        "shadows": [vars(shadow) for shadow in decided.shadows],
        "insufficient_evidence": decision.insufficient_evidence,
    }


def _counts(usage: Usage) -> dict[str, Any]:
    return {
        "num_prompt_tokens": usage.num_prompt_tokens,
        "num_completion_tokens": usage.num_completion_tokens,
        "num_accepted_tokens": sum(pair.num_accepted_tokens for pair in usage.pairs),
        "num_rejected_tokens": sum(pair.num_rejected_tokens for pair in usage.pairs),
        "first_token_s": usage.time_to_first_token_s,
        "total_s": usage.total_s,
    }
