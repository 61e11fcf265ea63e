"""Two models alone, averaged, and joined by CoSD: accuracy with intervals, and what each took.

    python -m bench.fusion --target specialist --data DIR --set gsm8k_calculations \\
        --set truthfulqa_gen --tree general=tree.json --out results.jsonl

Goes on where it was interrupted; `--table` only prints what there is. Exact speculative decoding
answers what the target alone answers: its row is that one. In methods that are `turned` the target
drafts and the draft model's tokens replace its own; there speculative decoding is the draft alone.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tiercel import engines
from tiercel.cli.distill_options import give_way, progress_bar
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.decoding.cosd_tree import CosdTree
from tiercel.errors import InvalidRequest
from tiercel.evaluation.fusion.experiment import Experiment, Pair
from tiercel.evaluation.fusion.methods import (
    Method,
    Replaces,
    averaged,
    collaborative,
    draft_alone,
    paper_rule,
    target_alone,
    turned_roles,
)
from tiercel.evaluation.fusion.results import ResultFile, read_results
from tiercel.evaluation.fusion.summary import HEAD, rows_of
from tiercel.specialisation.tasks import Task, task_named

DRAFT_ALONE, TARGET_ALONE = "draft alone", "target alone"
_TURNED = ", turned"


def main(
    out: Annotated[Path, typer.Option(dir_okay=False, help="The results, a JSONL file.")],
    draft: Annotated[str, typer.Option(help="A name, a folder, a .gguf file.")] = "smollm2-135m",
    target: Annotated[str, typer.Option(help="The same of the other model.")] = "smollm2-135m",
    engine: Annotated[str, typer.Option()] = "native",
    dtype: Annotated[str, typer.Option()] = "int8",
    threads: Annotated[int, typer.Option(min=0, help="0: every core.")] = 1,
    data: Annotated[Path, typer.Option(help="Folder of the sets' files.")] = Path("."),
    of: Annotated[list[str] | None, typer.Option("--set", help="Several times.")] = None,
    items: Annotated[int, typer.Option(min=1, help="Of each set.")] = 250,
    tree: Annotated[list[str] | None, typer.Option(help="NAME=FILE; several times.")] = None,
    turned_tree: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE, learned with the roles changed.")
    ] = None,
    turned: Annotated[bool, typer.Option(help="Change the roles, too.")] = True,
    num_speculative_tokens: Annotated[int, typer.Option(min=1)] = 4,
    batch: Annotated[int, typer.Option(min=1, help="Answers at a time.")] = 16,
    table: Annotated[bool, typer.Option("--table", help="Print what there is.")] = False,
) -> None:
    """Answer what has no result yet, then print the table."""
    output = Output()
    with tell_failures():
        if not table:
            give_way()
            sets = [(task_named(name), data) for name in of or ()]
            with output.working("loading"):
                pair = Pair.of(
                    engines.load(engine, draft, dtype=dtype, threads=threads),
                    engines.load(engine, target, dtype=dtype, threads=threads),
                )
            about = {**_about(pair), "num_speculative_tokens": num_speculative_tokens}
            methods = _methods(_rules(tree), num_speculative_tokens)
            if turned:
                methods |= _turned_methods(_rules(turned_tree), num_speculative_tokens)
            experiment = Experiment(pair, methods, ResultFile(out, about))
            for task, folder in sets:
                _run(experiment, task, folder, items, batch, output)
        _show(output, out)


def _run(
    experiment: Experiment, task: Task, folder: Path, count: int, batch: int, output: Output
) -> None:
    items = task.items(folder / f"{task.data_set}.jsonl")[:count]
    with progress_bar(output) as progress:
        left = experiment.num_left(task.asked_as, items)
        bar = progress.add_task(task.asked_as.name, total=left)
        experiment.run(task.asked_as, items, batch, lambda _: progress.advance(bar))


def _methods(rules: dict[str, Replaces], num_speculative_tokens: int) -> dict[str, Method]:
    methods: dict[str, Method] = {
        DRAFT_ALONE: draft_alone,
        TARGET_ALONE: target_alone,
        "average": averaged,
    }
    fused = {name: collaborative(one, num_speculative_tokens) for name, one in rules.items()}
    return methods | fused


def _turned_methods(rules: dict[str, Replaces], num_speculative_tokens: int) -> dict[str, Method]:
    return {
        name + _TURNED: turned_roles(collaborative(one, num_speculative_tokens))
        for name, one in rules.items()
    }


def _rules(trees: Sequence[str] | None) -> dict[str, Replaces]:
    """Return CoSD's decisions by name, each tree's with the beginning of its sha256."""
    found: dict[str, Replaces] = {"CoSD rule": paper_rule()}
    for named in trees or ():
        name, separator, path = named.partition("=")
        if not separator:
            raise InvalidRequest("tree", named, "is not NAME=FILE")
        tree = CosdTree.load(path)
        digest = hashlib.sha256(tree.to_json().encode()).hexdigest()[:8]
        found[f"CoSD tree, {name} {digest}"] = tree.replaces
    return found


def _about(pair: Pair) -> dict[str, Any]:
    """Return what results depend on, the sets and methods aside."""
    return {
        role: {"model": one.name, "dtype": one.dtype, "numerics_id": one.numerics_id}
        for role, one in (
            ("draft", pair.draft.description),
            ("target", pair.target.description),
        )
    }


def _show(output: Output, path: Path) -> None:
    rows = rows_of(read_results(path), _baseline)
    title = (
        "accuracy, gain over speculative decoding in points, passes for each token of the answer"
    )
    output.table(title, HEAD, [row.cells for row in rows])


def _baseline(method: str) -> str:
    """Return what exact speculative decoding answers with a method's roles."""
    return DRAFT_ALONE if method.endswith(_TURNED) else TARGET_ALONE


if __name__ == "__main__":
    typer.run(main)
