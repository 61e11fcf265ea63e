"""Outcomes of requests in the trial of a policy."""

from dataclasses import replace
from itertools import count

from tests.feedback.outcomes import outcome
from tiercel.learning import LearnedPolicy, Outcome
from tiercel.trials import ShadowDecision, Trial, TrialComparison, TrialPart
from tiercel.types import Plan, Usage

POLICY, INCUMBENT = "utility", "static"
SHARE = 0.5
_numbers = count()


def tried(*, is_tried: bool = True, share: float = SHARE, fault: str = "", **changes) -> Outcome:
    """An answer after 1 s, or what `changes` make of it, of the policy or of its incumbent."""
    number = next(_numbers)
    usage = Usage(1, 1, total_s=changes.pop("total_s", 1.0))
    made = replace(
        outcome(event_id=f"trial-{number}"),
        usage=usage,
        decision_id=f"decision-{number}",
        plan=Plan("target"),
        policy=POLICY if is_tried else INCUMBENT,
        trial=TrialPart(POLICY, INCUMBENT, share, is_tried, fault),
    )
    return replace(made, **changes)


def both(number: int, **changes) -> list[Outcome]:
    """As many of each arm, which are the same but for that."""
    return [tried(is_tried=bool(i % 2), **changes) for i in range(2 * number)]


def shadow(agreement: float, gain: float | None = None) -> Outcome:
    seen = ShadowDecision(POLICY, INCUMBENT, "small", agreement, gain)
    return replace(outcome(), shadows=(seen,))


def the_trial(policy: LearnedPolicy) -> Trial:
    [found] = policy.trials
    assert (found.policy, found.incumbent) == (POLICY, INCUMBENT)
    return found


def compared(trial: Trial, respect: str) -> TrialComparison:
    [found] = [one for one in trial.comparisons if one.respect == respect]
    return found
