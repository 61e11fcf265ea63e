"""The drift alarm: values that learning rests on are watched for a change of their mean.

After a warm-up, which tells mean and deviation of each stream, bets are made that the mean has
moved by more than a tolerance, anew at each value: M = (1 + M) (1 + stake (value - bound)), the sum
of Shiryaev and Roberts over a test martingale (Shin, Ramdas and Rinaldo, "E-detectors",
arXiv:2203.03532). As long as no mean has moved by more, the sum of all M grows by at most 1 a value
and side. So an alarm at 2 * run_length comes, when it is false, after `run_length` values on
average or later: of all streams together, however many there are.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import structlog

from services.feedback import metrics
from services.feedback.cells import Cell, Snapshot, Sums
from services.feedback.guardrail import AUTHOR
from services.feedback.operators import Operators
from tiercel.errors import Unavailable
from tiercel.learning import Event, Outcome
from tiercel.types import Plan

log = structlog.get_logger(__name__)

_NUM_STAKES = 6
_SIDES = ("up", "down")
_WATCHED = {"first", "sum", "late"}  # that a stream has once its warm-up is over
_STRICTNESS_STEP = 0.05


@dataclass(frozen=True)
class Vigilance:
    """How sure the alarm must be; without a run length nothing is watched."""

    run_length: float = 1e6  # values until a false alarm, on average, at least
    tolerance: float = 0.5  # by how many standard deviations a mean may move
    warm_up: int = 200  # values of a stream that tell its mean

    @property
    def threshold(self) -> float:
        """Return where a stream's statistic is an alarm."""
        return len(_SIDES) * self.run_length

    def said(self) -> list[str | float]:
        """Return what the store is told beside the values, as drift.lua reads it."""
        return [repr(self.tolerance), self.warm_up] if self.run_length else ["", ""]


@dataclass(frozen=True)
class Alarm:
    """A stream whose mean has moved."""

    cell: Cell
    statistic: float
    before: float  # its mean in the warm-up
    late: float  # of late

    @property
    def what(self) -> str:
        """Name the stream, for people."""
        signal, *names = self.cell.subject[1:]
        about = f"kind {self.cell.kind}" if self.cell.kind else "no kind"
        return f"{signal} of {' '.join(name for name in names if name)}, requests of {about}"


def streams(event: Event) -> Iterator[tuple[Cell, float]]:
    """Yield what is watched of an event: a cell of its own kind, a value in [0, 1].

    Only of its own kind: that of all kinds moves when their mix does. What learning itself moves is
    part of the cell's name: a rule's strictness, and the confidence at which drafting stops.
    """
    if not isinstance(event, Outcome) or event.failure:
        return
    settings = _settings(event.plan) if event.plan is not None else {}
    for pair in event.usage.pairs:
        judged = pair.num_accepted_tokens + pair.num_rejected_tokens
        if judged:
            names = (pair.drafter, pair.verifier)
            subject = ("drift", "acceptance", *names, settings.get(names, ""))
            yield Cell(subject, event.kind), pair.num_accepted_tokens / judged
    if (use := event.rule_use) is not None and (divergence := use.divergence) is not None:
        at = _rounded(use.strictness)
        yield Cell(("drift", "divergence", use.rule.value, at), event.kind), min(1.0, divergence)


def alarms(snapshot: Snapshot, vigilance: Vigilance) -> list[Alarm]:
    """Return the streams that have drifted, the clearest first."""
    if not vigilance.run_length:
        return []
    watched = (
        Alarm(cell, _statistic(sums), sums["sum"] / sums["first"], sums["late"])
        for cell, sums in snapshot.cells.items()
        if cell.subject[0] == "drift" and sums.keys() >= _WATCHED and sums["first"] > 0
    )
    found = sorted(watched, key=lambda one: -one.statistic)
    metrics.drift.set(found[0].statistic / vigilance.threshold if found else 0.0)
    return [one for one in found if one.statistic >= vigilance.threshold]


class DriftGuard:
    """Freezes what is learned when something drifts; thawing it begins the watch anew."""

    def __init__(self, vigilance: Vigilance, operators: Operators) -> None:
        self._vigilance, self._operators = vigilance, operators

    async def check(self, snapshot: Snapshot) -> None:
        """Freeze at an alarm; any number of replicas may, and the store may be away."""
        found = alarms(snapshot, self._vigilance)
        if snapshot.frozen is not None or not found:
            return
        first = found[0]
        reason = (
            f"drift of {first.what}: {first.late:.3f} of late, {first.before:.3f} before"
            f" (statistic {first.statistic:.3g}, alarm at {self._vigilance.threshold:.3g})"
        )
        log.warning("learning is frozen", reason=reason)
        with suppress(Unavailable):  # the next snapshot tells of it again
            await self._operators.alarm(author=AUTHOR, reason=reason)
            metrics.num_drift_alarms.labels(first.cell.subject[1]).inc()


def _statistic(sums: Sums) -> float:
    def mean(side: str) -> float:
        return sum(sums.get(f"{side}{i + 1}", 0.0) for i in range(_NUM_STAKES)) / _NUM_STAKES

    return max(map(mean, _SIDES))


def _settings(plan: Plan) -> dict[tuple[str, str], str]:
    """Return, by drafter and verifier, what of the plan moves how much is accepted."""
    found = {}
    for part in plan.walk():
        rule = f"{part.acceptance.rule.value} {_rounded(part.acceptance.strictness)}"
        for drafter in part.drafters:
            names = (drafter.tier, part.tier)
            found[names] = f"{rule} from {drafter.draft_confidence:.1f}"
    return found


def _rounded(strictness: float) -> str:
    return f"{round(strictness / _STRICTNESS_STEP) * _STRICTNESS_STEP:.2f}"
