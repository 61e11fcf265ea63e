"""Trials of routing policies: what the store is told of a request's part, and how they stand.

Of a conversation only the first request counts, for it decides which policy has all of them.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.feedback.cells import Cell, Snapshot, Sums
from services.feedback.measures import MEASURES
from services.feedback.speeds import time_bin
from tiercel.learning import Event, Outcome
from tiercel.trials import Trial, TrialComparison, TrialShadow
from tiercel.types import FinishReason

TRIED, INCUMBENT = "tried", "incumbent"
Stage = tuple[float, Sums, Sums]  # a share, what came on trial, what came of the incumbent
_UNFINISHED = (FinishReason.DEADLINE, FinishReason.CANCELLED)


@dataclass(frozen=True)
class Allowance:
    """By how much a policy on trial may be worse than the incumbent, and how sure is sure."""

    doubt: float = 0.05  # chance that a trial which is no worse is ever rolled back
    failure: float = 0.02  # share of requests
    latency: float = 0.05  # share of requests later than 95 % of the incumbent's
    cost: float = 0.2  # of the incumbent's mean cost
    quality: float = 0.05  # of the mean score


def told(event: Event, limit: int) -> list[str | int]:
    """Return what the store is told of an event's part in a trial, as trial.lua reads it."""
    if not isinstance(event, Outcome) or event.trial is None:
        return [""]
    part = event.trial
    failed = bool(event.failure or part.fault) or event.reason in _UNFINISHED
    total_s = event.usage.total_s
    return [
        _arm(part.policy, part.incumbent, part.share, TRIED if part.tried else INCUMBENT).name,
        _arm(part.policy, part.incumbent, part.share, INCUMBENT).name,
        limit,
        int(failed),
        time_bin(total_s) if total_s > 0 else "",
        "" if event.cost is None else repr(event.cost),
        "1" if event.session_id else "",
    ]


def trial_name(policy: str, incumbent: str) -> str:
    """Return the name of a trial in the store."""
    return json.dumps([policy, incumbent])


def trial_named(name: str) -> tuple[str, str]:
    """Return policy and incumbent of a trial's name."""
    policy, incumbent = json.loads(name)
    return policy, incumbent


def unit_of(event: Event) -> str:
    """Return the name of what has one policy through a trial: a conversation, empty for none."""
    if not isinstance(event, Outcome) or event.trial is None or not event.session_id:
        return ""
    names = (event.trial.policy, event.trial.incumbent, event.session_id)
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:32]


def shadow_deltas(outcome: Outcome) -> Iterator[tuple[Cell, Sums]]:
    """Yield what decisions in the shadow add to which cell."""
    for shadow in outcome.shadows:
        sums = {"shadows": 1.0, "agreement": shadow.agreement}
        if (gain := shadow.utility_gain) is not None:
            sums |= {"gains": 1.0, "gained": max(0.0, gain), "lost": max(0.0, -gain)}
        yield _shadow_cell(shadow.policy, shadow.incumbent), sums


@dataclass(frozen=True)
class TrialLearning:
    """How trials stand, by the sums of their arms."""

    allowance: Allowance = field(default_factory=Allowance)

    def trials(self, snapshot: Snapshot) -> tuple[Trial, ...]:
        """Return every trial; it is rolled back as soon as it is shown to be worse than allowed."""
        of_trials = (cell.subject for cell in snapshot.cells if cell.subject[0] == "trial")
        names = {(subject[1], subject[2]) for subject in of_trials if len(subject) > 3}
        found = sorted(names | snapshot.ended.keys())
        return tuple(self._trial(policy, incumbent, snapshot) for policy, incumbent in found)

    def _trial(self, policy: str, incumbent: str, snapshot: Snapshot) -> Trial:
        stages = _stages(policy, incumbent, snapshot.cells)
        doubt = self.allowance.doubt / len(MEASURES)
        comparisons = tuple(
            one.compared(stages, allowed=getattr(self.allowance, one.respect), delta=doubt)
            for one in MEASURES
        )
        worse = next((one for one in comparisons if one.excess > one.allowed), None)
        ended = snapshot.ended.get((policy, incumbent))
        reason = ended if ended is not None else _reason(worse, incumbent) if worse else ""
        return Trial(
            policy,
            share=max((share for share, *_ in stages), default=0.0),
            rolled_back=bool(reason),
            reason=reason,
            incumbent=incumbent,
            num_requests=round(sum(tried.get("units", 0.0) for _, tried, _ in stages)),
            num_incumbent=round(sum(others.get("units", 0.0) for *_, others in stages)),
            comparisons=tuple(one for one in comparisons if one.num_requests),
            shadow=_shadow(snapshot.cells.get(_shadow_cell(policy, incumbent), {})),
        )


def _arm(policy: str, incumbent: str, share: float, arm: str) -> Cell:
    return Cell(("trial", policy, incumbent, f"{share:.6g}", arm))


def _stages(policy: str, incumbent: str, cells: Mapping[Cell, Sums]) -> list[Stage]:
    """Return the sums of both arms, by the share that was on trial."""
    found = [cell.subject for cell in cells if cell.subject[:3] == ("trial", policy, incumbent)]
    shares = {_share(subject[3]) for subject in found if len(subject) == 5}
    return [
        (
            share,
            cells.get(_arm(policy, incumbent, share, TRIED), {}),
            cells.get(_arm(policy, incumbent, share, INCUMBENT), {}),
        )
        for share in sorted(shares)
        if 0.0 < share < 1.0  # what else an import may hold compares nothing
    ]


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _shadow_cell(policy: str, incumbent: str) -> Cell:
    return Cell(("trial", policy, incumbent, "shadow"))


def _reason(one: TrialComparison, incumbent: str) -> str:
    return (
        f"{one.respect} is worse than that of {incumbent} by at least {one.excess:.3f};"
        f" {one.allowed:g} is allowed ({one.num_requests} and {one.num_incumbent} requests)"
    )


def _shadow(sums: Sums) -> TrialShadow | None:
    number, gains = sums.get("shadows", 0.0), sums.get("gains", 0.0)
    if not number:
        return None
    gain = (sums["gained"] - sums["lost"]) / gains if gains else 0.0
    return TrialShadow(round(number), sums["agreement"] / number, gain, round(gains))
