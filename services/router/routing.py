"""The router's work: decide, have it answered, and say what came of it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.router import metrics, results
from services.router.admission import Admission
from services.router.aftermath import Aftermath, failure_of
from services.router.answering import Answering
from services.router.call import Call
from services.router.cascade.escalation import Escalation
from services.router.cascade.stopper import Stoppers
from services.router.deciding import Decided, Decider
from services.router.fleet import Fleet
from services.router.learning.learned import Advice
from services.router.learning.outcomes import OutcomeReporter
from services.router.learning.strictness import with_floor
from services.router.planning import addressed, check_asked, check_strictness
from services.router.replanning import Replanner
from services.router.root_choice import RootChoice
from services.router.studies.off_path import OffPath
from tiercel.errors import PlanRefused, TiercelError
from tiercel.plan_text import Outline
from tiercel.replies import Committed, Decision, Finished, NamedPlan, Overview, Revise
from tiercel.sessions import Ask, Objective, SessionEnd
from tiercel.tiers import Configuration
from tiercel.types import Plan

Reply = Decision | Committed | Revise | Finished


@dataclass(frozen=True)
class Limits:
    """How long things may take, and what callers may ask for."""

    heartbeat_s: float
    max_outage_s: float
    allowed_addresses: Sequence[str] = ()
    min_strictness: float = 0.0


class Router:
    """Answers requests over a fleet. Knows no transport."""

    def __init__(
        self,
        configuration: Configuration,
        fleet: Fleet,
        *,
        decider: Decider,
        admission: Admission,
        limits: Limits,
        advice: Advice,
        outcomes: OutcomeReporter,
        aftermath: Aftermath,
        replanner: Replanner,
        off_path: OffPath,
        stoppers: Stoppers | None = None,
    ) -> None:
        self._configuration = configuration
        self._prices = {name: one.price_per_second for name, one in configuration.tiers.items()}
        self._fleet = fleet
        self._decider = decider
        self._admission = admission
        self._limits = limits
        self._advice = advice
        self._outcomes = outcomes
        self._aftermath = aftermath
        self._replanner = replanner
        self._off_path = off_path
        self._answering = Answering(
            configuration.plans,
            fleet,
            decider,
            heartbeat_s=limits.heartbeat_s,
            max_outage_s=limits.max_outage_s,
            stoppers=stoppers,
        )

    async def generate(
        self, ask: Ask, objective: Objective, *, kind: str, deadline: float, session_id: str = ""
    ) -> AsyncGenerator[Reply, None]:
        """Yield a Decision, then Committed, then Finished; `deadline` on the event loop's clock.

        Where that was asked for, a Revise may take committed tokens back.

        Raises TiercelError instead of Finished when there is no answer.
        """
        arrived = time.monotonic()
        objective = self._checked(objective)
        reason, name = "cancelled", objective.plan_name
        try:
            async with self._admission.place(deadline):
                call = Call(ask, objective, kind, session_id, deadline, arrived)
                replies = self._answered(call)
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

    async def route(
        self, ask: Ask, objective: Objective, *, kind: str, session_id: str = ""
    ) -> Decision:
        """Return what would be decided now; raises as `generate` does, and Unavailable at once."""
        objective = self._checked(objective)
        start = time.perf_counter()
        decided = self._decider.decide(ask, objective, kind=kind, session_id=session_id)
        compute_s = time.perf_counter() - start
        plan = decided.plan
        root = await RootChoice(self._fleet, plan.tier, wanted_address=plan.address).pick()
        plan = addressed(plan, root, self._fleet)
        return results.decision(decided, plan, self._advice.policy, compute_s)

    def overview(self) -> Overview:
        """Return the state of every replica, and the named plans with addresses as of now."""
        default = self._configuration.default_plan
        plans = (
            NamedPlan(name, self._with_addresses(outline), is_default=name == default)
            for name, outline in self._configuration.plans.items()
        )
        replicas = (replica.snapshot() for replica in self._fleet.replicas())
        return Overview(tuple(replicas), tuple(plans))

    async def _answered(self, call: Call) -> AsyncGenerator[Reply, None]:
        start = time.perf_counter()
        decided = self._decider.decide(
            call.ask, call.objective, kind=call.kind, session_id=call.session_id
        )
        compute_s = time.perf_counter() - start
        answer = self._answering.of(call, decided)
        await self._prepared(call, answer, decided, compute_s)
        call = replace(call, num_outstanding=self._num_outstanding(answer.plan))
        decision = results.decision(decided, answer.plan, self._advice.policy, compute_s)
        yield decision
        async with aclosing(self._told(call, answer, decided, decision)) as replies:
            async for reply in replies:
                yield reply

    async def _prepared(
        self, call: Call, answer: Escalation, decided: Decided, compute_s: float
    ) -> None:
        """Have a root take the request; keep it if none does."""
        try:
            await answer.prepare()
        except (TiercelError, asyncio.CancelledError) as error:
            decision = results.decision(decided, decided.plan, self._advice.policy, compute_s)
            self._aftermath.failed(call, decided, decision, failure_of(error))
            raise

    async def _told(
        self, call: Call, answer: Escalation, decided: Decided, decision: Decision
    ) -> AsyncGenerator[Committed | Revise | Finished, None]:
        """Yield the answer, and keep what came of it, whatever came."""
        finished, why = None, "cancelled"
        try:
            replies = self._events(call, answer, decided, decision)
            async with aclosing(replies) as stream:
                with self._replanner.following(call, decided, answer):
                    async for reply in stream:
                        if isinstance(reply, Finished):
                            finished = reply
                        yield reply
        except TiercelError as error:
            why = failure_of(error)
            raise
        finally:
            if finished is None:
                self._aftermath.failed(call, decided, decision, why)
            else:
                self._aftermath.answered(call, decided, decision, finished)

    async def _events(
        self, call: Call, answer: Escalation, decided: Decided, decision: Decision
    ) -> AsyncGenerator[Committed | Revise | Finished, None]:
        first_token_s = 0.0
        async with aclosing(answer.events()) as events:
            async for event in events:
                if isinstance(event, SessionEnd):
                    end = results.timed(event, first_token_s, time.monotonic() - call.arrived)
                    outcome = results.outcome(
                        call, decided, decision, answer, end, prices=self._prices
                    )
                    self._outcomes.put(outcome)
                    finished = results.finished(end, call.ask, answer, decision)
                    self._off_path.offer(
                        call, decision, answer.plan, finished, answer.said, answer.prompt
                    )
                    yield finished
                    return
                if not first_token_s and isinstance(event, Committed) and event.token_ids:
                    first_token_s = time.monotonic() - call.arrived
                    metrics.time_to_first_token.labels(decision.plan_name).observe(first_token_s)
                yield event

    def _num_outstanding(self, plan: Plan) -> int:
        root = self._fleet.find(plan.tier, plan.address)
        return root.num_outstanding if root else 0

    def _checked(self, objective: Objective) -> Objective:
        self._decider.check(objective)
        check_strictness(objective, self._limits.min_strictness)
        if objective.outline is not None:
            check_asked(objective.outline, self._fleet, allowed=self._limits.allowed_addresses)
            self._check_root(objective.outline.tier)
        return with_floor(objective, self._limits.min_strictness)

    def _check_root(self, tier: str) -> None:
        known = self._configuration.tiers.get(tier)
        if known is None or known.service != "verifier":
            raise PlanRefused(f"tier {tier!r} is no verifier here and cannot answer")

    def _with_addresses(self, outline: Outline) -> Plan:
        plan = self._decider.advised(outline, "", None)
        roots = self._fleet.ready(plan.tier) or self._fleet.of(plan.tier)
        return addressed(plan, roots[0], self._fleet) if roots else plan
