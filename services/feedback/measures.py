"""In what two arms of a trial are compared: how bad requests were, by each arm's sums."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.feedback.cells import Sums
from services.feedback.comparing import Arms, Counts, Stratum
from tiercel.trials import TrialComparison

# As trial.lua counts: costs as multiples of the incumbent's mean up to 4, in 40 steps; scores by
# how far they lie below its mean, in steps of 0.05.
_COST_SPAN, _COST_STEPS, _SCORE_STEPS = 4.0, 40, 20


@dataclass(frozen=True)
class Measure:
    """One respect: badness in [low, high], shown to people as unit * (badness - origin)."""

    respect: str
    counts: Callable[[Sums], Counts]
    low: float = 0.0
    high: float = 1.0
    unit: float = 1.0
    origin: float = 0.0

    def compared(
        self, arms: Sequence[tuple[float, Sums, Sums]], *, allowed: float, delta: float
    ) -> TrialComparison:
        """Return how the arms compare; `arms` are share, sums on trial and the incumbent's."""
        strata = [
            Stratum(share, self._within(tried), self._within(others))
            for share, tried, others in arms
        ]
        tried = _total([one.trial for one in strata])
        others = _total([one.incumbent for one in strata])
        return TrialComparison(
            self.respect,
            num_requests=round(sum(tried.values())),
            num_incumbent=round(sum(others.values())),
            trial=self._shown(tried),
            incumbent=self._shown(others),
            excess=self.unit * Arms(strata, self.low, self.high).excess(delta),
            allowed=allowed,
        )

    def _within(self, sums: Sums) -> Counts:
        """Return an arm's counts; an import may hold what nobody counted, which is left out."""
        found = self.counts(sums)
        return {value: n for value, n in found.items() if self.low <= value <= self.high}

    def _shown(self, counts: Counts) -> float:
        number = sum(counts.values())
        total = sum(value * count for value, count in counts.items())
        return self.unit * (total / number - self.origin) if number else 0.0


def _share(whole: str, part: str) -> Callable[[Sums], Counts]:
    """Return what counts requests of which a part is bad."""

    def counts(sums: Sums) -> Counts:
        number, bad = sums.get(whole, 0.0), sums.get(part, 0.0)
        return {1.0: bad, 0.0: max(0.0, number - bad)} if number else {}

    return counts


def _steps(letter: str, steps: int, start: float = 0.0) -> Callable[[Sums], Counts]:
    """Return what counts requests by the step that they fall on."""

    def counts(sums: Sums) -> Counts:
        found = {}
        for name, count in sums.items():
            if name[0] == letter and name[1:].lstrip("-").isdigit():
                found[start + int(name[1:]) / steps] = count
        return found

    return counts


def _total(parts: Sequence[Counts]) -> Counts:
    values = {value for part in parts for value in part}
    return {value: sum(part.get(value, 0.0) for part in parts) for value in values}


_MEAN_COST = 1 / _COST_SPAN  # the badness of the incumbent's mean cost lies at 0
MEASURES = (
    Measure("failure", _share("units", "failed")),
    Measure("latency", _share("compared", "late")),
    Measure(
        "cost",
        _steps("c", _COST_STEPS, -_MEAN_COST),
        low=-_MEAN_COST,
        high=1 - _MEAN_COST,
        unit=_COST_SPAN,
        origin=-_MEAN_COST,
    ),
    Measure("quality", _steps("q", _SCORE_STEPS), low=-1.0),
)
