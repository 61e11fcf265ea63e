"""How often harm stays at most epsilon: many runs of a rule's life, with drift in the middle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.learning.audits import Auditing, Run, lived
from tiercel.evaluation.learning.harm import HarmCurve
from tiercel.evaluation.learning.world import Doubles
from tiercel.evaluation.statistics import Estimate, estimate
from tiercel.strictness.bounds import clopper_pearson_upper
from tiercel.strictness.certification import Standard

_MOST_AUDITS = 400
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Withdrawal:
    """Of the runs that drift brought to twice epsilon or more: how soon it was withdrawn."""

    num_runs: int
    within_run: float  # share
    median: float  # requests after the drift; NaN where most never were
    ninety: float  # requests within which nine of ten were


@dataclass(frozen=True)
class Coverage:
    """What came of many runs; all but `withdrawal` is of the time before the drift."""

    curve: str
    is_synthetic: bool
    running_share: float  # of requests that are audited
    drift: float
    drift_at: int  # request
    seeds: tuple[int, ...]
    certified: Estimate  # share of runs that certified a level
    wrongly: Estimate  # share of runs in which that level's true harm was above epsilon
    ever_above: Estimate  # share of runs that served more harm than epsilon at any time
    requests_above: float  # share of the requests that were
    worst_harm: float  # in the worst run
    withdrawn: Estimate  # share of runs with a withdrawal although nothing had drifted
    withdrawal: Withdrawal


@dataclass(frozen=True, eq=False)
class OverTime:
    """By step: the share of runs within epsilon, and the mean harm."""

    requests: Doubles
    within: Doubles
    harm: Doubles


def covered(
    curve: HarmCurve, auditing: Auditing, num_runs: int, seed: int = 0
) -> tuple[Coverage, OverTime]:
    """Return what came of `num_runs` runs."""
    seeds = tuple(range(seed, seed + num_runs))
    runs = [lived(curve, auditing, one) for one in seeds]
    step, epsilon = auditing.steering.min_answers, auditing.standard.epsilon
    harm = np.stack([one.harm for one in runs])
    above = harm > epsilon + _TOLERANCE
    before = auditing.drift_at // step
    early = [[at for at in one.withdrawals if at <= auditing.drift_at] for one in runs]
    certified = [one.certified_harm[:1] for one in runs]
    summary = Coverage(
        curve=curve.name,
        is_synthetic=curve.is_synthetic,
        running_share=auditing.running_share,
        drift=auditing.drift,
        drift_at=auditing.drift_at,
        seeds=seeds,
        certified=estimate([float(bool(one)) for one in certified]),
        wrongly=estimate([float(max(one, default=0.0) > epsilon) for one in certified]),
        ever_above=estimate(above[:, :before].any(axis=1).astype(float).tolist()),
        requests_above=float(above[:, :before].mean()),
        worst_harm=float(harm[:, :before].max()),
        withdrawn=estimate([float(bool(one)) for one in early]),
        withdrawal=_withdrawal(runs, harm[:, before] >= 2 * epsilon, auditing.drift_at),
    )
    times = np.arange(harm.shape[1], dtype=np.float64) * step
    return summary, OverTime(times, 1.0 - above.mean(axis=0), harm.mean(axis=0))


def naive_errors(harm: float, standard: Standard, num_runs: int, seed: int = 0) -> dict[str, float]:
    """Return how often one level whose true harm is above epsilon is certified, by method.

    The product looks once, at a number of audits fixed beforehand. Who looks after every audit, or
    believes the observed share, certifies more than delta of such levels.
    """
    draws = np.random.default_rng(seed).random((num_runs, _MOST_AUDITS)) < harm
    sums = draws.cumsum(axis=1)
    most = _most_harmed(standard)
    fixed, twenty = standard.num_audits, 20
    return {
        "one look, as the product": float((sums[:, fixed - 1] <= most[fixed - 1]).mean()),
        "a look after every audit": float((sums <= most).any(axis=1).mean()),
        "observed share of 20 audits": float((sums[:, twenty - 1] <= 20 * standard.epsilon).mean()),
    }


def _most_harmed(standard: Standard) -> NDArray[np.intp]:
    """Return, by the number of audits from 1, how many harmed ones meet the bound; -1 for none."""
    most, found = -1, []
    for audits in range(1, _MOST_AUDITS + 1):
        while clopper_pearson_upper(most + 1, audits, standard.delta) <= standard.epsilon:
            most += 1
        found.append(most)
    return np.array(found)


def _withdrawal(runs: list[Run], is_harmed: NDArray[np.bool_], drift_at: int) -> Withdrawal:
    waits = [
        min((at - drift_at for at in one.withdrawals if at > drift_at), default=float("inf"))
        for one, harmed in zip(runs, is_harmed, strict=True)
        if harmed
    ]
    if not waits:
        return Withdrawal(0, float("nan"), float("nan"), float("nan"))
    median, ninety = np.percentile(waits, (50, 90), method="inverted_cdf").tolist()
    return Withdrawal(len(waits), float(np.isfinite(waits).mean()), median, ninety)
