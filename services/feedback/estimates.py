"""From sums to policy: acceptance rates, step times, and the block length of best goodput."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.feedback.cells import ALL_KINDS, Cell, Snapshot, Sums
from services.feedback.cold_start import ColdStart
from services.feedback.pacing import cost_weight, kept
from services.feedback.qualities import root_qualities
from services.feedback.speeds import tier_policies
from services.feedback.strictness import StrictnessLearning
from services.feedback.trials import TrialLearning
from tiercel.decoding import Level, best_num_speculative_tokens, draft_confidence
from tiercel.learning import LearnedPolicy, PairPolicy
from tiercel.routing.pacing import Pacing
from tiercel.types import Plan

Cells = Mapping[Cell, Sums]

MAX_SPECULATIVE_TOKENS = 16
# Evidence against a slope of a pass's time over its width: so many passes, one token off the mean.
_FLAT_PASSES = 50.0


@dataclass(frozen=True)
class Estimator:
    """How much evidence a pair needs, and how much the pair as a whole says about a kind.

    Without it, how alike the two models are says something (`cold_start`).
    """

    min_judged_tokens: int = 200
    prior_tokens: float = 50.0  # judged tokens that the rate over all kinds counts for
    min_requests: float = 5.0  # answers of a tier behind what is said of its speed
    strictness: StrictnessLearning = field(default_factory=StrictnessLearning)
    trials: TrialLearning = field(default_factory=TrialLearning)
    pacing: Pacing | None = None

    def policy(self, snapshot: Snapshot) -> LearnedPolicy:
        """Return what the cells say about each pair and kind of which enough is known."""
        found = sorted(self._pairs(snapshot.cells), key=lambda p: (p.verifier, p.drafter, p.kind))
        return LearnedPolicy(
            snapshot.epoch,
            snapshot.version,
            tuple(found),
            self.strictness.policies(snapshot),
            tiers=tier_policies(snapshot.cells, _pass_times(snapshot.cells), self.min_requests),
            qualities=root_qualities(snapshot.cells),
            cost_weight=cost_weight(snapshot.cells, self.pacing),
            pacing=kept(snapshot.cells, self.pacing),
            trials=self.trials.trials(snapshot),
            frozen=snapshot.frozen is not None,
            frozen_reason=snapshot.frozen or "",
        )

    def _pairs(self, cells: Cells) -> Iterator[PairPolicy]:
        pairs = [cell for cell in cells if cell.subject[0] == "pair"]
        rates = {cell: self._rate(cell, cells) for cell in pairs if self._is_judged(cells[cell])}
        start = ColdStart(cells, _of_all_kinds(rates))
        for cell in (*pairs, *start.untried()):
            passes = cells.get(Cell.of_tier(cell.subject[2], cell.kind), {})
            rate = rates[cell] if cell in rates else start.rate(cell, self.prior_tokens)
            draft_s = start.draft_s(cell)
            if rate is None or not passes.get("passes"):
                continue
            judged, line = _judged(cells.get(cell, {})), Line.fitted(passes)
            if draft_s is not None:
                yield _policy(cell, rate, judged, draft_s, line)
            elif cell in rates:
                yield _untimed(cell, rate, judged, line)

    def _is_judged(self, sums: Sums) -> bool:
        return _judged(sums) >= self.min_judged_tokens

    def _rate(self, cell: Cell, cells: Cells) -> float:
        """Return accepted / (accepted + rejected), drawn towards that of the pair as a whole."""
        sums, whole = cells[cell], cells.get(Cell(cell.subject), {})
        accepted, judged = sums["accepted"], _judged(sums)
        if cell.kind != ALL_KINDS and _judged(whole):
            accepted += self.prior_tokens * whole["accepted"] / _judged(whole)
            judged += self.prior_tokens
        return min(1.0, accepted / judged)


def _policy(cell: Cell, rate: float, judged: float, draft_s: float, line: "Line") -> PairPolicy:
    level = Level(line.step_s, rate)
    length = best_num_speculative_tokens(level, draft_s, MAX_SPECULATIVE_TOKENS)
    return PairPolicy(
        drafter=cell.subject[1],
        verifier=cell.subject[2],
        kind=cell.kind,
        num_speculative_tokens=length,
        draft_confidence=draft_confidence(level, draft_s, length),
        acceptance_rate=rate,
        num_judged_tokens=round(judged),
        draft_s_per_token=draft_s,
        verify_s_per_pass=line.mean_s,
    )


def _untimed(cell: Cell, rate: float, judged: float, line: "Line") -> PairPolicy:
    """Return what is known of a drafter that was scored and never drafted: the length is a plan's.

    Its time is 0, not known.
    """
    return PairPolicy(
        drafter=cell.subject[1],
        verifier=cell.subject[2],
        kind=cell.kind,
        num_speculative_tokens=Plan.num_speculative_tokens,
        draft_confidence=Plan.draft_confidence,
        acceptance_rate=rate,
        num_judged_tokens=round(judged),
        draft_s_per_token=0.0,
        verify_s_per_pass=line.mean_s,
    )


def _of_all_kinds(rates: Mapping[Cell, float]) -> dict[tuple[str, str], float]:
    """Return the rates over all kinds by drafter and verifier."""
    whole = {cell: rate for cell, rate in rates.items() if cell.kind == ALL_KINDS}
    return {(cell.subject[1], cell.subject[2]): rate for cell, rate in whole.items()}


def _pass_times(cells: Cells) -> dict[str, tuple[float, float]]:
    """Return, by tier, seconds of a pass over one token and of each further one."""
    lines = {
        cell.subject[1]: Line.fitted(sums)
        for cell, sums in cells.items()
        if cell.subject[0] == "tier" and cell.kind == ALL_KINDS and sums.get("passes")
    }
    return {tier: (line.step_s(1), line.slope_s) for tier, line in lines.items()}


@dataclass(frozen=True)
class Line:
    """Seconds of a forward pass as a line over its width in tokens."""

    mean_width: float
    mean_s: float
    slope_s: float

    @classmethod
    def fitted(cls, sums: Sums) -> "Line":
        """Return the least-squares line of a tier's sums; needs at least one pass.

        Little variation of the width says little about the slope, which is then drawn to flat:
        that asks for longer blocks, and they show the slope. It is never steeper than time in
        proportion to width.
        """
        passes = sums["passes"]
        width, seconds = sums["width"] / passes, sums["pass_s"] / passes
        scatter = max(0.0, sums["width_squared"] - passes * width**2)
        common = sums["width_s"] - passes * width * seconds
        slope = common / (scatter + _FLAT_PASSES)
        return cls(width, seconds, min(max(0.0, slope), seconds / width))

    def step_s(self, width: int) -> float:
        """Return seconds of a pass over `width` tokens."""
        return self.mean_s + self.slope_s * (width - self.mean_width)


def _judged(sums: Sums) -> float:
    return sums.get("accepted", 0.0) + sums.get("rejected", 0.0)
