"""What there is to replay, from tables, step times and the matrix; what is missing is made up."""

from collections.abc import Sequence
from pathlib import Path

from tiercel.evaluation.frontier.beliefs import Fitter
from tiercel.evaluation.frontier.table import Table
from tiercel.evaluation.learning.drafters import Drafting, made_up_matches
from tiercel.evaluation.learning.experiment import Subject
from tiercel.evaluation.learning.harm import SYNTHETIC, made_up, recorded
from tiercel.evaluation.learning.prepared import prepared
from tiercel.evaluation.matrix import Cells, read_matrix
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.step_cost import StepTimes

# Of a small tier, and of one that is slower and drafts better; synthetic.
_RATES = (0.5, 0.85)


def subject_of(
    table: Table,
    fitter: Fitter,
    *,
    out: Path | None,
    times: StepTimes | None,
    refresh: int,
    seed: int = 0,
) -> Subject:
    """Return what is replayed; `out` is the folder of the matrix, if there is one."""
    cells = list(read_matrix(out)) if out is not None else []
    return Subject(
        name=table.name,
        cost_unit=table.cost_unit,
        sources=table.sources,
        prepared=prepared(table, fitter, refresh=refresh, seed=seed),
        drafting=None if times is None else drafting_of(times, cells),
        harm=[*recorded(cells), *(made_up(*one) for one in SYNTHETIC)],
    )


def drafting_of(times: StepTimes, cells: Sequence[Cells]) -> Drafting | None:
    """Return the slowest tier with the two before it as drafters; None without as many.

    Its answers' lengths are those of the matrix; matches are too, if it has them for both.
    """
    names = sorted(times.tiers, key=lambda name: times.of(name).pass_seconds(1))
    answers = [] if len(names) < 3 else _answers(cells, names[-1])
    if not answers:
        return None
    old, new, root = names[-3:]
    recorded_both = [one for one in answers if {old, new} <= one.matches.keys()]
    if recorded_both:
        matches = {name: [one.matches[name] for one in recorded_both] for name in (old, new)}
    else:
        lengths = [len(one.token_ids) for one in answers]
        matches = made_up_matches(lengths, dict(zip((old, new), _RATES, strict=True)))
    tiers = {name: times.of(name) for name in (old, new)}
    return Drafting(times.of(root), tiers, matches, is_synthetic=not recorded_both)


def _answers(cells: Sequence[Cells], root: str) -> list[Outcome]:
    """Return the root's own greedy answers of at least two tokens."""
    own = (one.outcomes for one in cells if one.manifest.column == root)
    return [one for outcomes in own for one in outcomes if len(one.token_ids) > 1]
