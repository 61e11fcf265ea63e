"""Audits: what an answer was under a lossy rule is held against what EXACT gives with its seed.

Who was answered under a lossy rule is audited by one more answer under EXACT. As long as a rule's
strictness is learned and not certified, requests are answered under EXACT, and it is the lossy
answer that is made afterwards, to nobody.
"""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from services.router import metrics
from services.router.call import Call
from services.router.learning.learned import Advice
from services.router.learning.strictness import is_barred, left_open, next_level
from services.router.studies.harm import Comparison, Harm, Pair
from services.router.studies.off_path import Answered
from services.router.studies.rerunning import Rerunner
from tiercel.decoding import in_force
from tiercel.learning import Audit
from tiercel.plan_text import Outline
from tiercel.replies import Decision
from tiercel.rules import RuleUse, is_lossy
from tiercel.types import Acceptance, FinishReason, Plan

log = structlog.get_logger(__name__)

_COMPLETE = (FinishReason.STOP_TOKEN, FinishReason.STOP_STRING, FinishReason.LENGTH)


@dataclass(frozen=True)
class AuditShares:
    """Shares of the answers that are audited."""

    running: float  # of those under a lossy rule
    certifying: float  # of those under EXACT whose rule is not certified yet


class Audits:
    """Audits a sample of the answers, those that came to an end by themselves under one root."""

    name = "audits"

    def __init__(
        self,
        plans: Mapping[str, Outline],
        advice: Advice,
        rerunner: Rerunner,
        comparison: Comparison,
        shares: AuditShares,
        *,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._plans, self._advice, self._rerunner = plans, advice, rerunner
        self._comparison, self._shares, self._uniform = comparison, shares, uniform

    def wants(self, call: Call, decision: Decision, plan: Plan) -> bool:
        """Return whether this answer is drawn; none without drafters, or to no purpose."""
        if not plan.drafters or self._advice.policy.frozen:
            return False
        if is_lossy(in_force(plan.acceptance)):
            return self._uniform() < self._shares.running
        asked = self._certifiable(call, decision)
        return asked is not None and self._uniform() < self._shares.certifying

    async def look(self, answered: Answered) -> Sequence[Audit]:
        """Return the audit, nothing of answers of which none can be made; raises TiercelError."""
        finished = answered.finished
        if finished.reason not in _COMPLETE or not finished.exact or _is_escalated(answered):
            return ()
        given = answered.plan.acceptance
        if is_lossy(in_force(given)):
            return await self._running(answered)
        asked = self._certifiable(answered.call, answered.decision)
        return () if asked is None else await self._certifying(answered, asked)

    async def _running(self, answered: Answered) -> Sequence[Audit]:
        """Audit an answer that was given under a lossy rule."""
        use = answered.finished.rule_use
        if use is None or use.divergence is None:
            return ()
        rerun = await self._rerunner.again(answered, Acceptance())
        if rerun.end.reason not in _COMPLETE:
            return ()
        harm = await self._compared(Pair.of(answered, exact=rerun.said, lossy=answered.said))
        return (self._audit(answered, use, harm, certifying=False),)

    async def _certifying(self, answered: Answered, asked: Acceptance) -> Sequence[Audit]:
        """Answer once more at a level that is not certified, and audit that."""
        rerun = await self._rerunner.again(answered, asked)
        use = rerun.end.rule_use
        if rerun.end.reason not in _COMPLETE or use is None or use.divergence is None:
            return ()
        harm = await self._compared(Pair.of(answered, exact=answered.said, lossy=rerun.said))
        return (self._audit(answered, use, harm, certifying=True),)

    def _certifiable(self, call: Call, decision: Decision) -> Acceptance | None:
        """Return the rule whose certification this answer can serve, at the level that is tried."""
        asked = left_open(call.objective, self._plans, decision.plan_name)
        if asked is None or is_barred(asked, call.ask.constraint):
            return None
        level = next_level(asked.rule, self._advice, call.kind)
        if level is None:
            return None
        return Acceptance(asked.rule, level, asked.num_agreeing)

    async def _compared(self, pair: Pair) -> Harm:
        if pair.exact.ids == pair.lossy.ids:
            return Harm(harmed=False, loss=0.0)
        return await self._comparison.compare(pair)

    def _audit(self, answered: Answered, use: RuleUse, harm: Harm, *, certifying: bool) -> Audit:
        assert use.divergence is not None, "nothing was compared"
        decision = answered.decision
        audit = Audit(
            event_id=uuid.uuid4().hex,
            decision_id=decision.decision_id,
            kind=answered.call.kind,
            rule=use.rule,
            strictness=use.strictness,
            divergence=use.divergence,
            harmed=harm.harmed,
            method=self._comparison.method,
            loss=harm.loss,
            policy_epoch=decision.policy_epoch,
            policy_version=decision.policy_version,
            certifying=certifying,
        )
        _tell(audit)
        return audit


def _is_escalated(answered: Answered) -> bool:
    return any(stage.next_plan_name for stage in answered.finished.stages)


def _tell(audit: Audit) -> None:
    purpose = "certifying" if audit.certifying else "running"
    result = "harmed" if audit.harmed else "unharmed"
    metrics.num_audits.labels(audit.rule.value, purpose, result).inc()
    log.info(
        "an answer was audited",
        decision_id=audit.decision_id,
        rule=audit.rule.value,
        strictness=audit.strictness,
        kind=audit.kind,
        purpose=purpose,
        result=result,
        loss=audit.loss,
        divergence=audit.divergence,
    )
