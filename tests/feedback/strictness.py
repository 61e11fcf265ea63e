"""Answers and audits under a lossy rule, and a service that two clean audits convince."""

from dataclasses import replace
from itertools import count

from tests.feedback.outcomes import outcome
from tiercel.learning import Audit, LearnedPolicy, Outcome, StrictnessPolicy
from tiercel.rules import RuleUse
from tiercel.types import Rule

RULE = Rule.LENIENT
# Half of the answers may be harmed, three certificates of four hold: two clean audits will do.
SETTINGS = {
    "max_harm": 0.5,
    "harm_doubt": 0.25,
    "strictness_levels": (0.9, 0.7, 0.5),
    "strictness_gain": 2.0,
    "strictness_max_step": 0.1,
    "strictness_answers": 2,
    "half_life_s": 1e9,
}
_numbers = count()


def answer(strictness: float, divergence: float, kind: str = "", **changes: str) -> Outcome:
    use = RuleUse(RULE, strictness, 1000, round(1000 * divergence))
    return replace(outcome(kind=kind), rule_use=use, **changes)


def audit(strictness: float, *, harmed: bool = False, kind: str = "", **changes: object) -> Audit:
    """An audit of an ordinary answer, with a divergence of 0.1."""
    event_id = f"audit-{next(_numbers)}"
    one = Audit(event_id, "d", kind, RULE, strictness, 0.1, harmed, "score")
    return replace(one, **changes)


def certifying(strictness: float, *, harmed: bool = False, kind: str = "") -> Audit:
    return audit(strictness, harmed=harmed, kind=kind, certifying=True)


def certificate(kind: str = "") -> list[Audit]:
    """Two clean audits at each of two levels, and the harmed one that ends the sequence."""
    clean = [certifying(level, kind=kind) for level in (0.9, 0.9, 0.7, 0.7)]
    return [
        *clean,
        certifying(0.5, harmed=True, kind=kind),
        certifying(0.5, harmed=True, kind=kind),
    ]


def of_rule(policy: LearnedPolicy, kind: str = "") -> StrictnessPolicy:
    [found] = [one for one in policy.strictness if (one.rule, one.kind) == (RULE, kind)]
    return found
