"""What there is to replay, from tables, step times and the matrix; what is missing is made up."""

from collections.abc import Sequence
from pathlib import Path

from tiercel.evaluation.chain_replay import Flags
from tiercel.evaluation.frontier.beliefs import Fitter
from tiercel.evaluation.frontier.table import Table
from tiercel.evaluation.learning.drafters import Drafting, made_up_matches
from tiercel.evaluation.learning.experiment import Subject
from tiercel.evaluation.learning.harm import SYNTHETIC, made_up, recorded
from tiercel.evaluation.learning.prepared import prepared
from tiercel.evaluation.matrix import Cells, read_matrix
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
        drafting=None if times is None else drafting_of(table, times, cells),
        harm=[*recorded(cells), *(made_up(*one) for one in SYNTHETIC)],
    )


def drafting_of(table: Table, times: StepTimes, cells: Sequence[Cells]) -> Drafting | None:
    """Return the dearest plan with the two dearest others as drafters; None without as many.

    Matches are those of the matrix if it has them for both, else made up.
    """
    roots = [name for name in table.plan_names if name in times.tiers]
    if len(roots) < 3:
        return None
    *_, old, new, root = roots
    found = _recorded_matches(cells, root, (old, new))
    if found is None:
        lengths = table.examples.num_tokens[:, table.plan_names.index(root)].astype(int)
        kept = [length for length in lengths.tolist() if length > 1]
        matches = made_up_matches(kept, dict(zip((old, new), _RATES, strict=True)))
    else:
        matches = found
    tiers = {name: times.of(name) for name in (old, new)}
    return Drafting(times.of(root), tiers, matches, is_synthetic=found is None)


def _recorded_matches(
    cells: Sequence[Cells], root: str, drafters: tuple[str, str]
) -> dict[str, list[Flags]] | None:
    answers = [
        outcome.matches
        for one in cells
        if one.manifest.column == root
        for outcome in one.outcomes
        if len(outcome.token_ids) > 1 and set(drafters) <= outcome.matches.keys()
    ]
    if not answers:
        return None
    return {drafter: [one[drafter] for one in answers] for drafter in drafters}
