"""`tiercel eval match`: where each drafter would have been right in the answers of a matrix."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli.distill_options import DataOption, ThreadsOption, give_way, progress_bar
from tiercel.cli.evaluation_tiers import SpecialistsOption
from tiercel.cli.output import Output
from tiercel.cli.running import describe, tell_failures
from tiercel.cli.up import ConfigOption
from tiercel.errors import InvalidRequest

if TYPE_CHECKING:
    from tiercel.evaluation.matching.matcher import Matcher, Task
    from tiercel.evaluation.matrix import Cells


def match(
    data: DataOption,
    out: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of the matrix.")
    ] = Path("outcomes"),
    config: ConfigOption = None,
    specialists: SpecialistsOption = None,
    drafter: Annotated[
        list[str] | None,
        typer.Option("--drafter", help="A tier; several times. Without it: all that may pay."),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="A tier that answered; several times.")
    ] = None,
    set_names: Annotated[
        list[str] | None, typer.Option("--set", help="A set; several times. Without it: all.")
    ] = None,
    threads: ThreadsOption = 1,
) -> None:
    """Pass every drafter over the stored greedy answers; goes on where an earlier run stopped."""
    # Not at the top: other commands start without the engines.
    from tiercel.evaluation.loaded_tiers import LoadedTiers
    from tiercel.evaluation.matching.drafters import check_drafter
    from tiercel.evaluation.matching.matcher import Matcher, tasks
    from tiercel.evaluation.matrix import read_matrix
    from tiercel.evaluation.specialists import with_specialists

    give_way()
    output = Output()
    with tell_failures():
        configuration, _ = with_specialists(config, specialists)
        for name in drafter or ():
            check_drafter(configuration, name)
        chosen = [cells for cells in read_matrix(out) if _is_chosen(cells, column, set_names)]
        tiers = LoadedTiers(configuration, threads=threads)
        todo = tasks(chosen, configuration, drafter)
        with progress_bar(output) as bar:
            total = sum(len(task.cells.outcomes) for task in todo)
            row = bar.add_task("matching", total=total)
            matcher = Matcher(
                configuration, data, tiers, progress=lambda count: bar.advance(row, count)
            )
            for task in todo:
                _run(matcher, task, output, is_named=drafter is not None)
        tiers.close()
        output.table(f"matches in {out}", _HEAD, _rows(read_matrix(out)))


def _run(matcher: "Matcher", task: "Task", output: Output, *, is_named: bool) -> None:
    what = f"{task.set.name}: {task.drafter} for {task.root}"
    try:
        output.note(f"{what}, {matcher.run(task)} answers")
    except InvalidRequest as error:
        if is_named or error.field != "drafter":
            raise
        output.note(f"{what}: {describe(error)}")  # it is a drafter of another root


def _is_chosen(cells: "Cells", columns: list[str] | None, sets: list[str] | None) -> bool:
    manifest = cells.manifest
    is_column = not columns or manifest.column in columns
    return is_column and (not sets or manifest.set_name in sets)


_HEAD = ("column", "drafter", ">answers", ">tokens", ">said", ">right", ">right of said")


def _rows(matrix: "list[Cells]") -> list[list[str]]:
    """Return a row for each drafter of each column, over all sets."""
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for cells in matrix:
        for one in cells.outcomes:
            for name, flags in one.matches.items():
                key = (cells.manifest.column, name)
                found[key].append((len(flags), *one.num_matched(name)))
    rows = []
    for (column, name), counts in sorted(found.items()):
        tokens, said, right = (sum(values) for values in zip(*counts, strict=True))
        shares = (said / tokens, right / tokens, right / max(1, said))
        texts = (str(len(counts)), str(tokens), *(f"{share:.3f}" for share in shares))
        rows.append([column, name, *texts])
    return rows
