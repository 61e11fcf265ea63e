"""Which plan answers a request: forecasts, guardrails, a policy's odds, and one draw from them."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from services.router.conversations import Conversations
from services.router.fleet import Fleet
from services.router.forecasts.forecasting import Forecaster, Forecasts, Planned
from services.router.fresh import Fresh
from services.router.guardrails import Guardrails, Refusal, may_be_picked
from services.router.implied import implied_policy
from services.router.learning.learned import Advice
from services.router.learning.strictness import bound, explained, left_open, settled
from services.router.learning.trials import PolicyTrial, Weighed
from services.router.planning import advised
from tiercel.errors import NotFound
from tiercel.plan_text import Outline
from tiercel.replies import Candidate
from tiercel.routing.policy import Features, Forecast, Odds, Policy, Situation, Wishes
from tiercel.routing.ranking import cheapest, over_budget, soonest
from tiercel.sessions import Ask, Delivery, Objective
from tiercel.trials import ShadowDecision, TrialPart
from tiercel.types import Acceptance, Plan

REQUESTED = "requested"


@dataclass(frozen=True)
class Decided:
    """A plan without addresses, and all that led to it."""

    plan_name: str  # empty for one that the caller spelled out
    plan: Plan
    policy: str
    reason: str
    propensity: float = 1.0
    candidates: tuple[Candidate, ...] = ()
    forced: str = ""
    insufficient_evidence: bool = False
    predictor_digest: str = ""
    incumbent: str = ""  # the plan that had answered the conversation last
    features: Features = field(default_factory=lambda: np.zeros(0, np.float32))
    predicted: Mapping[str, float] = field(default_factory=dict)  # qualities, without ratings
    num_ratings: Mapping[str, float | None] = field(
        default_factory=dict
    )  # that qualities are worth
    budget_weight: float | None = None  # quality that a unit of cost was worth, to keep a budget
    trial: TrialPart | None = None  # its part in the trial of a policy
    shadows: tuple[ShadowDecision, ...] = ()


class Decider:
    """Decides by what is known now; it learns nothing."""

    def __init__(
        self,
        plans: Mapping[str, Outline],
        fleet: Fleet,
        *,
        default_plan: str,
        policies: Mapping[str, Policy],
        default_policy: str,
        forecaster: Forecaster,
        advice: Advice,
        conversations: Conversations,
        escalates: bool = False,
        trial: PolicyTrial | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """`escalates`: answers may be overruled by larger plans. `trial`: a policy beside these."""
        self._trial = trial
        self._plans = plans
        self._fleet = fleet
        self._default_plan = default_plan
        self._policies = policies
        self._default_policy = default_policy
        self._forecaster = forecaster
        self._guardrails = Guardrails(fleet)
        self._advice = advice
        self._conversations = conversations
        self._uniform, self._escalates = uniform, escalates
        self._advised: Fresh[dict[str, Planned]] = Fresh()

    def check(self, objective: Objective) -> None:
        """Raise NotFound for a plan or policy that is not here."""
        if objective.plan_name and objective.plan_name not in self._plans:
            known = ", ".join(self._plans)
            raise NotFound(f"no plan {objective.plan_name!r}; the plans here are {known}")
        self._policy_of(objective)

    def decide(self, ask: Ask, objective: Objective, *, kind: str, session_id: str) -> Decided:
        """Return what is decided for a request whose objective was checked."""
        decided = self._decided(ask, objective, kind, session_id)
        asked = left_open(objective, self._plans, decided.plan_name)
        if asked is None:
            return decided
        plan = bound(decided.plan, asked, ask.constraint)
        why = explained(asked, plan.acceptance, ask.constraint)
        return replace(decided, plan=plan, reason=f"{decided.reason}; {why}")

    def advised(self, outline: Outline, kind: str, acceptance: Acceptance | None) -> Plan:
        """Return the plan under the caller's rule, with what was left to the router."""
        plan = advised(outline, self._advice, kind=kind, local=self._fleet.local_tiers)
        return settled(plan, acceptance, self._advice, kind)

    def plans(self, kind: str, acceptance: Acceptance | None) -> Mapping[str, Planned]:
        """Return every named plan as of now, its root under `acceptance` if the caller said one."""
        key = (kind, acceptance, self._advice.policy.epoch, self._advice.policy.version)
        return self._advised.of(key, lambda: self._all_advised(kind, acceptance))

    def _decided(self, ask: Ask, objective: Objective, kind: str, session_id: str) -> Decided:
        if objective.outline is not None:
            why = "the caller spelled the plan out"
            plan = self.advised(objective.outline, kind, objective.acceptance)
            return Decided("", plan, REQUESTED, why, forced=why)
        if objective.plan_name:
            why = "the caller named the plan"
            plan = self.advised(self._plans[objective.plan_name], kind, objective.acceptance)
            return Decided(objective.plan_name, plan, REQUESTED, why, forced=why)
        return self._weighed(ask, objective, kind, session_id)

    def _weighed(self, ask: Ask, objective: Objective, kind: str, session_id: str) -> Decided:
        name, policy = self._policy_of(objective)
        plans = self.plans(kind, objective.acceptance)
        conversation = self._conversations.find(session_id)
        forecasts = self._forecaster.forecast(ask, plans, kind, conversation)
        refused = self._refused(forecasts, plans, objective.wishes)
        free, forced = may_be_picked(forecasts.plans, refused)
        situation = Situation(
            forecasts=free,
            fallback=self._fallback(free),
            features=forecasts.features,
            kind=kind,
            wishes=objective.wishes,
            incumbent=conversation.plan_name,
            may_escalate=self._escalates and objective.delivery is not Delivery.STREAM,
            budget_weight=self._advice.policy.cost_weight,
        )
        trial = self._trial if self._trial and self._trial.concerns(objective) else None
        if forced:
            weighed = Weighed(name, _least_bad(situation, forced))
        elif trial is not None:
            weighed = trial.weigh(policy, situation, session_id)
        else:
            weighed = Weighed(name, policy.weigh(situation))
        odds = weighed.odds
        chosen = odds.drawn(self._uniform())
        return Decided(
            plan_name=chosen,
            plan=plans[chosen].plan,
            policy=weighed.policy,
            reason=_reason(odds, chosen),
            propensity=odds.probabilities[chosen],
            candidates=tuple(_candidate(one, odds, refused) for one in forecasts.plans),
            forced=odds.forced,
            insufficient_evidence=odds.insufficient_evidence,
            predictor_digest=forecasts.digest,
            incumbent=conversation.plan_name,
            features=forecasts.features,
            predicted=forecasts.predicted,
            num_ratings={one.plan_name: one.num_ratings for one in forecasts.plans},
            budget_weight=situation.budget_weight,
            trial=weighed.part,
            shadows=trial.shadows(weighed, situation, chosen) if trial is not None else (),
        )

    def _policy_of(self, objective: Objective) -> tuple[str, Policy]:
        """Return the policy that is named, or that the wishes ask for, or the router's own."""
        name = objective.policy or implied_policy(objective.wishes, self._default_policy)
        if name not in self._policies:
            raise NotFound(f"no policy {name!r} here; there is {', '.join(self._policies)}")
        return name, self._policies[name]

    def _all_advised(self, kind: str, acceptance: Acceptance | None) -> dict[str, Planned]:
        caller = Objective(acceptance=acceptance)
        return {
            name: Planned.of(
                self.advised(outline, kind, acceptance),
                is_certified=left_open(caller, self._plans, name) is not None,
            )
            for name, outline in self._plans.items()
        }

    def _refused(
        self, forecasts: Forecasts, plans: Mapping[str, Planned], wishes: Wishes
    ) -> dict[str, Refusal]:
        return {
            one.plan_name: self._guardrails.refusal(
                one,
                plans[one.plan_name].plan.tier,
                num_prompt_tokens=forecasts.num_prompt_tokens,
                wishes=wishes,
            )
            for one in forecasts.plans
        }

    def _fallback(self, free: tuple[Forecast, ...]) -> str:
        names = [one.plan_name for one in free]
        return self._default_plan if self._default_plan in names else names[0]


def _least_bad(situation: Situation, why: str) -> Odds:
    """Return the odds where guardrails left nothing: what is nearest to the budget, if it is that.

    Of plans that cannot answer now it is the fallback, which may be able to again.
    """
    wishes, plans = situation.wishes, situation.forecasts
    limits = (wishes.max_seconds, wishes.max_cost)
    name, what = situation.fallback, "the fallback"
    if all(over_budget(one, wishes) for one in plans) and limits != (None, None):
        by_cost = limits[0] is None
        found = cheapest(plans) if by_cost else soonest(plans)
        name, what = found.plan_name, "the cheapest" if by_cost else "the soonest"
    return Odds.certain(name, f"{why}; {name} is {what}", forced=why)


def _reason(odds: Odds, chosen: str) -> str:
    probability = odds.probabilities[chosen]
    if probability >= max(odds.probabilities.values()):
        return odds.reason
    return f"explored, with probability {probability:.3g}; else {odds.reason}"


def _candidate(forecast: Forecast, odds: Odds, refused: Mapping[str, Refusal]) -> Candidate:
    return Candidate(
        plan_name=forecast.plan_name,
        predicted_s=forecast.seconds,
        predicted_quality=forecast.quality,
        quality_bound=forecast.quality_bound,
        predicted_cost=forecast.cost,
        probability=odds.probabilities.get(forecast.plan_name, 0.0),
        refused=refused[forecast.plan_name].why,
    )
