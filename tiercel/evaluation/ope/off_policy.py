"""What a named policy would have done at logged decisions, ready for the estimators."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.errors import InvalidRequest
from tiercel.evaluation.ope.decision_records import LoggedCandidate, LoggedDecision
from tiercel.evaluation.ope.estimators import MIN_EFFECTIVE, Estimates, Logged, estimated
from tiercel.routing.policy import Forecast, Policy, Situation, Wishes


@dataclass(frozen=True)
class Measure:
    """What is estimated: how it is read from a decision, and how it was predicted of a plan."""

    name: str
    outcome: Callable[[LoggedDecision], float | None]
    predicted: Callable[[LoggedCandidate], float | None]


SCORE = Measure("score", lambda one: one.score, lambda one: one.predicted_quality)
SECONDS = Measure("seconds", lambda one: one.total_s, lambda one: one.predicted_s)


def evaluated(
    decisions: Sequence[LoggedDecision],
    policy: Policy,
    measure: Measure,
    *,
    fallback: str = "",
    wishes: Wishes | None = None,
    min_effective: float = MIN_EFFECTIVE,
) -> Estimates:
    """Return what the policy would have been worth on the decisions whose outcome is known.

    It sees what the logging policy saw but the features: the plans that were not refused, what was
    predicted of them, and the caller's wishes, unless other `wishes` are given. Without a
    `fallback` a decision's dearest plan is it. Raises InvalidRequest if no outcome is known.
    """
    known = [one for one in decisions if measure.outcome(one) is not None]
    if not known:
        raise InvalidRequest("log", measure.name, "is known of no decision")
    means = _means(known, measure)
    rows = [_row(one, policy, measure, means, fallback, wishes) for one in known]
    return estimated(Logged(*np.array(rows, np.float64).T), min_effective=min_effective)


def _row(
    decision: LoggedDecision,
    policy: Policy,
    measure: Measure,
    means: Mapping[str, float],
    fallback: str,
    wishes: Wishes | None,
) -> tuple[float, ...]:
    """Return the decision's place in each array of Logged."""
    odds = policy.weigh(_situation(decision, fallback, wishes)).probabilities
    guesses = {one.plan_name: _guess(one, measure, means) for one in decision.candidates}
    taken = {one.plan_name: one.probability for one in decision.candidates}
    return (
        measure.outcome(decision) or 0.0,
        decision.propensity,
        odds.get(decision.chosen, 0.0),
        sum(share * guesses[name] for name, share in odds.items()),
        guesses[decision.chosen],
        sum(share for name, share in odds.items() if not taken[name]),
    )


def _situation(decision: LoggedDecision, fallback: str, wishes: Wishes | None) -> Situation:
    open_to = [one for one in decision.candidates if not one.refused]
    # What was chosen could be chosen, whatever else the line says.
    shown = open_to or [one for one in decision.candidates if one.plan_name == decision.chosen]
    names = [one.plan_name for one in shown]
    dearest = max(shown, key=lambda one: one.predicted_s or 0.0).plan_name
    asked = Wishes(**decision.wishes.model_dump()) if wishes is None else wishes
    return Situation(
        forecasts=tuple(_forecast(one) for one in shown),
        fallback=fallback if fallback in names else dearest,
        kind=decision.kind,
        wishes=asked,
        incumbent=decision.incumbent,
    )


def _forecast(one: LoggedCandidate) -> Forecast:
    return Forecast(
        one.plan_name,
        seconds=one.predicted_s,
        quality=one.predicted_quality,
        quality_bound=one.quality_bound,
        cost=one.predicted_cost,
    )


def _guess(one: LoggedCandidate, measure: Measure, means: Mapping[str, float]) -> float:
    predicted = measure.predicted(one)
    return means.get(one.plan_name, means[""]) if predicted is None else predicted


def _means(known: Sequence[LoggedDecision], measure: Measure) -> dict[str, float]:
    """Return the mean outcome of each chosen plan, and under no name that of all."""
    outcomes = np.array([measure.outcome(one) for one in known], np.float64)
    chosen = np.array([one.chosen for one in known])
    means = {str(name): float(outcomes[chosen == name].mean()) for name in np.unique(chosen)}
    return {**means, "": float(outcomes.mean())}
