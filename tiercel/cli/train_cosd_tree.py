"""`tiercel train cosd-tree`: from a few right answers to the tree of the rule COSD_TREE."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from tiercel import engines
from tiercel.cli import options
from tiercel.cli.distill_options import ThreadsOption
from tiercel.cli.output import Output
from tiercel.cli.running import fail, tell_failures
from tiercel.cli.specialise import TaskOption
from tiercel.decoding.cosd_tree import MAX_DEPTH, CosdTree
from tiercel.evaluation.fusion.disagreements import Disagreement, disagreements, shares_right
from tiercel.evaluation.fusion.experiment import Pair
from tiercel.specialisation.samples import samples_of
from tiercel.specialisation.tasks import task_named


def cosd_tree(
    data: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="JSONL rows with their reference.")
    ],
    task: TaskOption,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The tree, a JSON file.")],
    draft: Annotated[str, typer.Option(help="A name, a folder, a .gguf file.")],
    target: Annotated[str, typer.Option(help="The model that replaces the other's tokens.")],
    samples: Annotated[
        int, typer.Option(min=1, help="Rows to learn from, those that an evaluation takes last.")
    ] = 10,
    max_tokens: Annotated[int, typer.Option(min=2, help="Longest row, prompt included.")] = 512,
    max_depth: Annotated[int, typer.Option(min=1, max=MAX_DEPTH, help="Questions in a row.")] = 3,
    min_rows: Annotated[int, typer.Option(min=1, help="Disagreements at each end.")] = 4,
    engine: Annotated[str, typer.Option(help="Of both models.")] = "native",
    dtype: Annotated[str, typer.Option(help="Number format of both models' weights.")] = "int8",
    threads: ThreadsOption = 1,
    json: options.JsonOption = False,
) -> None:
    """Learn when the target's token is to replace the draft's, from where the two disagree."""
    if find_spec("sklearn") is None:
        fail("train cosd-tree needs scikit-learn: pip install 'tiercel[train]'")
    # Not at the top: it needs the extra `train`.
    from tiercel.evaluation.fusion.tree_training import learned_tree

    output = Output()
    with tell_failures():
        with output.working("loading"):
            pair = Pair.of(
                engines.load(engine, draft, dtype=dtype, threads=threads),
                engines.load(engine, target, dtype=dtype, threads=threads),
            )
        chosen = task_named(task)
        lessons = samples_of(chosen, chosen.items(data), pair.tokenizer, max_tokens)[-samples:]
        with output.working("asking both models"):
            found = list(disagreements(pair.draft, pair.target, lessons))
        about = f"{len(found)} disagreements in {len(lessons)} rows of {task}"
        tree = learned_tree(found, max_depth=max_depth, min_rows=min_rows, trained_on=about)
        out.parent.mkdir(parents=True, exist_ok=True)
        tree.save(out)
    if json:
        output.line(tree.to_json().rstrip())
    else:
        _show(output, tree, found, out)


def _show(output: Output, tree: CosdTree, found: list[Disagreement], out: Path) -> None:
    draft, target = shares_right(found)
    right = f"the draft model is right in {draft:.0%}, the target in {target:.0%}"
    output.line(f"{tree.trained_on}: {right}\n\n{tree}\n\nin {out}")
