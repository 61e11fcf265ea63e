"""Off-policy estimates of a mean outcome, with intervals and what says whether to believe them.

Inverse propensity scores (Horvitz and Thompson 1952), self-normalised (Swaminathan and Joachims
2015), clipped, and doubly robust (Dudik et al. 2011).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

CLIP = 10.0
MIN_EFFECTIVE = 100.0
MAX_UNSUPPORTED = 0.01
_Z = 1.959964  # of the normal distribution, two-sided 95 %


@dataclass(frozen=True)
class Logged:
    """n decisions by a logging policy, and what another policy would have done: all of length n.

    `expected` is a guess of the outcome under the other policy's odds, `guess` of the plan that
    was chosen: of the same model, which must not have been fitted on these outcomes. Wrong guesses
    make the doubly robust interval wider, and nothing biased.
    """

    outcomes: Doubles
    propensities: Doubles  # of the chosen plan under the logging policy, above 0
    wanted: Doubles  # its probability under the other policy
    expected: Doubles
    guess: Doubles
    unsupported: Doubles  # odds that the other policy gives to plans that were never taken there


@dataclass(frozen=True)
class ValueEstimate:
    """A mean outcome with its 95 % interval."""

    estimator: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimates:
    """All estimators on the same decisions; none if the decisions say too little, and why."""

    num_decisions: int
    logged_mean: float  # under the policy that ran
    effective: float  # sample size: (sum w)^2 / sum w^2
    max_weight: float
    unsupported: float  # mean odds on plans that the logging policy never took there
    values: tuple[ValueEstimate, ...]
    refused: str = ""


def estimated(logged: Logged, *, min_effective: float = MIN_EFFECTIVE) -> Estimates:
    """Return the estimates, or none and the reason.

    Intervals are normal, of the estimators' influence values; with few effective decisions they
    would be too narrow, so nothing is estimated below `min_effective`. Raises ValueError for no
    decisions or a propensity that is not above 0.
    """
    if not len(logged.outcomes) or not (logged.propensities > 0).all():
        raise ValueError("decisions with propensities above 0 are needed")
    weights = logged.wanted / logged.propensities
    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    unsupported = float(logged.unsupported.mean())
    refused = _why_not(effective, min_effective, unsupported)
    return Estimates(
        num_decisions=len(weights),
        logged_mean=float(logged.outcomes.mean()),
        effective=effective,
        max_weight=float(weights.max()),
        unsupported=unsupported,
        values=() if refused else _values(logged, weights),
        refused=refused,
    )


def _values(logged: Logged, weights: Doubles) -> tuple[ValueEstimate, ...]:
    outcomes = logged.outcomes
    normalised = float((weights * outcomes).sum() / weights.sum())
    robust = logged.expected + weights * (outcomes - logged.guess)
    direct = float(logged.expected.mean())
    return (
        _mean("ips", weights * outcomes),
        _around("snips", normalised, weights * (outcomes - normalised) / weights.mean()),
        _mean(f"clipped at {CLIP:g}", np.minimum(weights, CLIP) * outcomes),
        _mean("doubly robust", robust),
        ValueEstimate("direct", direct, float("nan"), float("nan")),
    )


def _mean(name: str, terms: Doubles) -> ValueEstimate:
    value = float(terms.mean())
    return _around(name, value, terms - value)


def _around(name: str, value: float, influences: Doubles) -> ValueEstimate:
    half = _Z * float(influences.std(ddof=1)) / np.sqrt(len(influences))
    return ValueEstimate(name, value, value - half, value + half)


def _why_not(effective: float, least: float, unsupported: float) -> str:
    if effective < least:
        return f"{effective:.0f} effective decisions, at least {least:.0f} are needed"
    if unsupported > MAX_UNSUPPORTED:
        return (
            f"{unsupported:.1%} of the odds are on plans that were never taken there: "
            "no weight makes up for that"
        )
    return ""
