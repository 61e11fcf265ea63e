"""The router's work: decide, have it answered, and say what came of it."""

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.router import metrics
from services.router.admission import Admission
from services.router.answer import Answer
from services.router.fleet import Fleet
from services.router.learned import Advice
from services.router.outcomes import OutcomeReporter
from services.router.planning import addressed, advised, check_asked
from services.router.policy import Choice, Policy, Situation, policy_named
from services.router.root_choice import RootChoice
from tiercel.decoding import in_force
from tiercel.errors import NotFound, PlanRefused, TiercelError
from tiercel.learning import Outcome
from tiercel.plan_text import Outline
from tiercel.replies import Committed, Decision, Finished, NamedPlan, Overview
from tiercel.rules import is_lossy
from tiercel.sessions import Ask, Objective, SessionEnd
from tiercel.tiers import Configuration
from tiercel.types import Plan

Reply = Decision | Committed | Finished

_REQUESTED = "requested"


@dataclass(frozen=True)
class Limits:
    """How long things may take, and which addresses callers may name."""

    heartbeat_s: float
    max_outage_s: float
    allowed_addresses: Sequence[str] = ()


class Router:
    """Answers requests over a fleet. Knows no transport."""

    def __init__(
        self,
        configuration: Configuration,
        fleet: Fleet,
        *,
        policies: dict[str, Policy],
        default_policy: str,
        admission: Admission,
        limits: Limits,
        advice: Advice,
        outcomes: OutcomeReporter,
    ) -> None:
        self._configuration = configuration
        self._fleet = fleet
        self._policies = policies
        self._default_policy = default_policy
        self._admission = admission
        self._limits = limits
        self._advice = advice
        self._outcomes = outcomes

    async def generate(
        self, ask: Ask, objective: Objective, *, kind: str, deadline: float
    ) -> AsyncGenerator[Reply, None]:
        """Yield a Decision, then Committed, then Finished; `deadline` on the event loop's clock.

        Raises TiercelError instead of Finished when there is no answer.
        """
        arrived = time.monotonic()
        self._check(objective)
        reason, name = "cancelled", objective.plan_name
        try:
            async with self._admission.place(deadline):
                replies = self._answered(ask, objective, kind, deadline, arrived)
                async with aclosing(replies) as stream:
                    async for reply in stream:
                        if isinstance(reply, Decision):
                            name = reply.plan_name
                        elif isinstance(reply, Finished):
                            reason = reply.reason.value
                        yield reply
        except TiercelError as error:
            reason = type(error).__name__
            raise
        finally:
            metrics.num_requests.labels(name, reason).inc()

    async def route(self, ask: Ask, objective: Objective, *, kind: str) -> Decision:
        """Return what would be decided now; raises as `generate` does, and Unavailable at once."""
        self._check(objective)
        start = time.perf_counter()
        choice, plan, policy = self._decide(ask, objective, kind)
        compute_s = time.perf_counter() - start
        root = await RootChoice(self._fleet, plan.tier, wanted_address=plan.address).pick()
        return _decision(choice, addressed(plan, root, self._fleet), policy, compute_s)

    def overview(self) -> Overview:
        """Return the state of every replica, and the named plans with addresses as of now."""
        default = self._configuration.default_plan
        plans = (
            NamedPlan(name, self._with_addresses(outline), is_default=name == default)
            for name, outline in self._configuration.plans.items()
        )
        replicas = (replica.snapshot() for replica in self._fleet.replicas())
        return Overview(tuple(replicas), tuple(plans))

    async def _answered(
        self, ask: Ask, objective: Objective, kind: str, deadline: float, arrived: float
    ) -> AsyncGenerator[Reply, None]:
        start = time.perf_counter()
        choice, plan, policy = self._decide(ask, objective, kind)
        compute_s = time.perf_counter() - start
        answer = Answer(
            ask,
            plan,
            self._fleet,
            deadline=deadline,
            heartbeat_s=self._limits.heartbeat_s,
            max_outage_s=self._limits.max_outage_s,
        )
        await answer.prepare()
        decision = _decision(choice, answer.plan, policy, compute_s)
        yield decision
        first_token_s = 0.0
        async with aclosing(answer.events()) as events:
            async for event in events:
                if isinstance(event, SessionEnd):
                    end = _timed(event, first_token_s, time.monotonic() - arrived)
                    self._report(ask, decision, kind, answer.plan, end)
                    yield _finished(end, ask, answer, decision)
                    return
                if not first_token_s and event.token_ids:
                    first_token_s = time.monotonic() - arrived
                    metrics.time_to_first_token.labels(choice.plan_name).observe(first_token_s)
                yield event

    def _decide(self, ask: Ask, objective: Objective, kind: str) -> tuple[Choice, Plan, str]:
        """Return the choice, its plan without addresses, and the name of the policy."""
        choice, plan, policy = self._chosen(ask, objective, kind)
        if objective.acceptance is not None:
            plan = replace(plan, acceptance=objective.acceptance)
        return choice, plan, policy

    def _chosen(self, ask: Ask, objective: Objective, kind: str) -> tuple[Choice, Plan, str]:
        if objective.outline is not None:
            choice = Choice("", 1.0, (), "the caller spelled the plan out")
            return choice, self._advised(objective.outline, kind), _REQUESTED
        policy = objective.policy or self._default_policy
        if objective.plan_name:
            choice = Choice(objective.plan_name, 1.0, (), "the caller named the plan")
            policy = _REQUESTED
        else:
            situation = Situation(
                ask.prompt, kind, ask.stop.max_new_tokens, ask.sampling.temperature
            )
            chooser = policy_named(self._policies, policy)
            choice = chooser.choose(self._plans_that_can_answer(), situation)
        outline = self._configuration.plans[choice.plan_name]
        return choice, self._advised(outline, kind), policy

    def _advised(self, outline: Outline, kind: str) -> Plan:
        return advised(outline, self._advice, kind=kind, local=self._fleet.local_tiers)

    def _plans_that_can_answer(self) -> list[str]:
        plans = self._configuration.plans
        names = [name for name, outline in plans.items() if self._fleet.ready(outline.tier)]
        return names or list(plans)

    def _check(self, objective: Objective) -> None:
        plans = self._configuration.plans
        if objective.plan_name and objective.plan_name not in plans:
            known = ", ".join(plans)
            raise NotFound(f"no plan {objective.plan_name!r}; the plans here are {known}")
        if objective.policy:
            policy_named(self._policies, objective.policy)
        if objective.outline is not None:
            check_asked(objective.outline, self._fleet, allowed=self._limits.allowed_addresses)
            self._check_root(objective.outline.tier)

    def _check_root(self, tier: str) -> None:
        known = self._configuration.tiers.get(tier)
        if known is None or known.service != "verifier":
            raise PlanRefused(f"tier {tier!r} is no verifier here and cannot answer")

    def _with_addresses(self, outline: Outline) -> Plan:
        plan = self._advised(outline, "")
        roots = self._fleet.ready(plan.tier) or self._fleet.of(plan.tier)
        return addressed(plan, roots[0], self._fleet) if roots else plan

    def _report(self, ask: Ask, decision: Decision, kind: str, plan: Plan, end: SessionEnd) -> None:
        self._outcomes.put(
            Outcome(
                event_id=uuid.uuid4().hex,
                usage=end.usage,
                decision_id=decision.decision_id,
                request_id=ask.request_id,
                kind=kind,
                plan_name=decision.plan_name,
                plan=plan,
                propensity=decision.propensity,
                reason=end.reason,
            )
        )


def _decision(choice: Choice, plan: Plan, policy: str, compute_s: float) -> Decision:
    return Decision(
        decision_id=uuid.uuid4().hex,
        plan=plan,
        plan_name=choice.plan_name,
        policy=policy,
        propensity=choice.propensity,
        candidates=choice.candidates,
        reason=choice.reason,
        compute_s=compute_s,
    )


def _timed(end: SessionEnd, first_token_s: float, total_s: float) -> SessionEnd:
    """Return the end with times as the router's caller sees them, waits and failovers included."""
    usage = replace(end.usage, time_to_first_token_s=first_token_s, total_s=total_s)
    return replace(end, usage=usage)


def _finished(end: SessionEnd, ask: Ask, answer: Answer, decision: Decision) -> Finished:
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
    )
