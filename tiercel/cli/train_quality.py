"""`tiercel train quality`: from the outcome matrix to the predictor of quality."""

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiercel.cli import options
from tiercel.cli.output import Output
from tiercel.cli.running import fail, tell_failures
from tiercel.cli.statistics import number

if TYPE_CHECKING:
    from tiercel.prediction.quality.embedding import Embedding
    from tiercel.prediction.quality.manifest import PlanRecord, QualityManifest
    from tiercel.prediction.quality.outcome_examples import Measured

COLUMNS = ("plan", ">prompts", ">mean score", ">skill", ">AUROC in a kind", ">ECE")
_FITTER = "scipy"  # of the extra `train`


class MatrixName(StrEnum):
    """What to learn from."""

    COLLECTED = "collected"
    ROUTELLM = "routellm"


def quality(
    *,
    data: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of the sets' JSONL files.")
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the predictor.")],
    outcomes: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the outcome matrix.")
    ] = Path("outcomes"),
    matrix: Annotated[
        MatrixName, typer.Option(help="The outcomes, or the recorded pair of large models.")
    ] = MatrixName.COLLECTED,
    plan: Annotated[
        list[str] | None, typer.Option("--plan", help="A column; several times. Without it: all.")
    ] = None,
    embedding: Annotated[
        bool,
        typer.Option("--embedding", help="Read prompts with MiniLM too; the extra `embedding`."),
    ] = False,
    anchors: Annotated[
        str, typer.Option(help="Train nothing: add this tier to --out by its outcomes.")
    ] = "",
    folds: Annotated[
        int, typer.Option(min=0, help="Parts to judge predictions on; 0: do not judge.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the parts and of the network.")] = 0,
    json: options.JsonOption = False,
) -> None:
    """Fit the predictor of quality on the outcome matrix, or add a tier to it by anchors."""
    if find_spec(_FITTER) is None:
        fail("train quality needs scipy: pip install 'tiercel[train]'")
    if folds == 1:
        fail("--folds is 0, or at least 2")
    # Not at the top: these need the extra.
    from tiercel.prediction.quality.settings import QualitySettings
    from tiercel.prediction.quality.training import Course, add_tier, train

    output = Output()
    with tell_failures():
        with output.working("reading"):
            encoder = _encoder(out, embedding, anchors)
            plans = [anchors] if anchors else plan
            measured = _measured(matrix, outcomes, data, plans, encoder)
        with output.working("fitting"):
            if anchors:
                manifest = add_tier(out, measured, anchors, settings=QualitySettings())
            else:
                manifest = train(measured, out, Course(seed=seed, num_folds=folds))
    if json:
        output.json(manifest.model_dump())
    else:
        _show(output, manifest, out)


def _measured(
    matrix: MatrixName,
    outcomes: Path,
    data: Path,
    plans: list[str] | None,
    embedding: "Embedding | None",
) -> "Measured":
    from tiercel.evaluation.matrix import read_matrix
    from tiercel.prediction.quality.outcome_examples import read_examples
    from tiercel.prediction.quality.recorded_examples import read_recorded

    if matrix is MatrixName.ROUTELLM:
        return read_recorded(data, embedding=embedding)
    return read_examples(read_matrix(outcomes), data, plans=plans, embedding=embedding)


def _encoder(out: Path, wanted: bool, anchors: str) -> "Embedding | None":
    """Return what embeds prompts; of anchors what the predictor in `out` was fitted with."""
    from tiercel.prediction.quality.embedding import installed
    from tiercel.prediction.quality.manifest import read

    if anchors:
        wanted = read(out).embedding is not None
    return installed() if wanted else None


def _show(output: Output, manifest: "QualityManifest", out: Path) -> None:
    rows = [_row(plan) for plan in manifest.plans]
    output.table("plans, predicted for prompts that the model did not see", COLUMNS, rows)
    for name, added in manifest.added.items():
        output.line(f"added: {name}, by {added.num_anchors} anchor prompts")
    output.line(f"\n{manifest.note}\nin {out}")


def _row(plan: "PlanRecord") -> tuple[str, ...]:
    judged = (plan.skill, plan.auroc, plan.calibration_error)
    figures = (number(value, 3) for value in judged)
    return plan.name, str(plan.num_scores), number(plan.mean_score, 3), *figures
