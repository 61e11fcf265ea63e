"""A table of the matrix: each column on each set, with its interval and what it used."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.pilot import Pilot
from tiercel.evaluation.statistics import Estimate, estimate
from tiercel.types import FinishReason

HEAD = ("set", "column", "metric", ">mean", ">95 %", ">prompts", ">tokens", ">cut off", "note")

PILOT_HEAD = ("set", "metric", "tier", ">mean", ">95 %", ">prompts", "verdict")


@dataclass(frozen=True)
class Line:
    """One column on one set; samples of one prompt are averaged before prompts are."""

    set_name: str
    column: str
    metric: str
    score: Estimate | None
    num_prompts: int
    mean_tokens: float
    cut_off: float | None  # share of texts that ended at their greatest length
    note: str

    @property
    def cells(self) -> Sequence[str]:
        """The line as texts for a table."""
        mean = f"{self.score.mean:.3f}" if self.score else ""
        interval = f"{self.score.low:.3f}-{self.score.high:.3f}" if self.score else ""
        used = (f"{self.mean_tokens:.1f}", "" if self.cut_off is None else f"{self.cut_off:.0%}")
        where = (self.set_name, self.column, self.metric)
        return (*where, mean, interval, str(self.num_prompts), *used, self.note)


def lines_of(matrix: Sequence[Cells], pilot: Pilot) -> list[Line]:
    """Return a line for each column and set that has outcomes, by set, then by column."""
    lines = [_line(cells, pilot) for cells in matrix if cells.outcomes]
    return sorted(lines, key=lambda line: (line.set_name, line.column))


def pilot_rows(pilot: Pilot) -> list[Sequence[str]]:
    """Return a row for each tier on each set that the pilot judged."""
    return [
        (
            name,
            verdict.metric,
            tier,
            f"{one.mean:.3f}",
            f"{one.low:.3f}-{one.high:.3f}",
            str(one.count),
            f"cut: {verdict.why}" if verdict.is_cut else "",
        )
        for name, verdict in pilot.sets.items()
        for tier, one in verdict.tiers.items()
    ]


def _line(cells: Cells, pilot: Pilot) -> Line:
    outcomes, manifest = cells.outcomes, cells.manifest
    metric = next(iter(outcomes[0].scores), "")
    by_prompt: dict[str, list[float]] = {}
    for one in outcomes:
        by_prompt.setdefault(one.prompt_id, []).append(one.scores.get(metric, 0.0))
    means = [sum(scores) / len(scores) for scores in by_prompt.values()]
    are_texts = not any(len(one.choice_logprobs) for one in outcomes)
    cut_off = float(np.mean([one.finish is FinishReason.LENGTH for one in outcomes]))
    verdict = pilot.sets.get(manifest.set_name)
    return Line(
        set_name=manifest.set_name,
        column=manifest.column,
        metric=metric,
        score=estimate(means) if metric else None,
        num_prompts=len(by_prompt),
        mean_tokens=float(np.mean([len(one.token_ids) for one in outcomes])),
        cut_off=cut_off if are_texts else None,
        note=f"cut: {verdict.why}" if verdict and verdict.is_cut else "",
    )
