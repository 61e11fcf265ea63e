"""From the outcome matrix to a folder with a predictor; and from anchors to one more tier in it.

Needs the extra `train`.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.prediction.examples import Examples
from tiercel.prediction.quality import anchors, exporting, manifest
from tiercel.prediction.quality.anchor_fitting import fitted_anchors
from tiercel.prediction.quality.exporting import About
from tiercel.prediction.quality.judging import cross_validated, fitted, folds_of, records
from tiercel.prediction.quality.manifest import MODEL_FILE, QualityManifest
from tiercel.prediction.quality.outcome_examples import Measured
from tiercel.prediction.quality.session import Session
from tiercel.prediction.quality.settings import QualitySettings

_FEWEST = 100  # prompts; with fewer a mean says as much
_FEWEST_ANCHORS = 50
_LITTLE = 2000  # prompts under which the note says that they are few


@dataclass(frozen=True)
class Course:
    """How to train; no folds, no figures of how good the predictions are."""

    settings: QualitySettings = field(default_factory=QualitySettings)
    seed: int = 0
    num_folds: int = 5


def train(measured: Measured, folder: Path, course: Course) -> QualityManifest:
    """Fit on all that was measured, write model and manifest to `folder`, return the manifest.

    Raises InvalidRequest for too few prompts.
    """
    examples, whole = measured.examples, measured.greedy
    num_prompts = int(whole.sum())
    if num_prompts < _FEWEST:
        raise InvalidRequest("matrix", num_prompts, f"prompts; at least {_FEWEST} are needed")
    qualities = np.full(examples.scores.shape, np.nan)
    if course.num_folds:
        qualities = cross_validated(examples, whole, course.settings, course.seed, course.num_folds)
    folds = folds_of(examples, course.seed, max(1, course.num_folds))
    fit = fitted(examples, whole, course.settings, course.seed)
    about = About(
        plans=records(examples, whole, qualities, folds),
        tiers=measured.tiers,
        data_sha256={**measured.data_sha256, "examples": digest(examples)},
        num_prompts=num_prompts,
        num_calibration_prompts=fit.num_calibration,
        kinds=tuple(sorted(set(examples.kinds))),
        seed=course.seed,
        note=_note(num_prompts, fit.num_calibration, len(set(examples.kinds))),
        embedding=measured.embedding,
    )
    return fit.model.export(folder, about)


def add_tier(
    folder: Path, measured: Measured, name: str, *, settings: QualitySettings
) -> QualityManifest:
    """Add the tier `name` to the predictor in `folder` by its scores on anchor prompts.

    Nothing is trained again. Raises InvalidRequest if it is a plan that was trained on, or was
    measured on too few prompts, or its prompts were not embedded as the predictor's were;
    ModelUnavailable if there is no predictor.
    """
    known = manifest.read(folder)
    if name in {plan.name for plan in known.plans}:
        raise InvalidRequest("tier", name, "is a plan that the predictor was trained on")
    if name not in measured.examples.plan_names:
        raise InvalidRequest("tier", name, "has no outcomes")
    if measured.embedding != known.embedding:
        raise InvalidRequest("embedding", name, "is not the one that the predictor was fitted with")
    place = measured.examples.plan_names.index(name)
    scores = measured.examples.scores[:, place]
    rows = np.isfinite(scores) & measured.greedy
    if rows.sum() < _FEWEST_ANCHORS:
        why = f"was measured on {int(rows.sum())} prompts, at least {_FEWEST_ANCHORS} are needed"
        raise InvalidRequest("tier", name, why)
    found = Session((folder / MODEL_FILE).read_bytes()).run(measured.examples.features[rows], None)
    fit = fitted_anchors(
        found.hidden,
        found.outputs[:, : len(known.plans)],
        scores[rows],
        measured.examples.num_tokens[rows, place],
        settings,
    )
    content = anchors.saved(fit)
    (folder / anchors.file_name(name)).write_bytes(content)
    assert fit.record is not None
    record = fit.record.model_copy(
        update={"file_sha256": sha256(content).hexdigest(), "tier": measured.tiers.get(name)}
    )
    changed = known.model_copy(update={"added": {**known.added, name: record}})
    exporting.write_manifest(folder, changed)
    return changed


def digest(examples: Examples) -> str:
    """Return the hex sha256 of what a model is fitted on."""
    parts: tuple[NDArray[np.float32], ...] = (
        examples.features,
        examples.evidence,
        examples.scores,
        examples.num_tokens,
        examples.acceptance,
    )
    found = sha256(repr((examples.groups, examples.plan_names, examples.pair_names)).encode())
    for part in parts:
        found.update(np.ascontiguousarray(part, np.float32).tobytes())
    return found.hexdigest()


def _note(num_prompts: int, num_calibration: int, num_kinds: int) -> str:
    seen = (
        f"Fitted on {num_prompts - num_calibration} prompts of {num_kinds} public data sets, "
        f"calibrated on these, held out in turn, and {num_calibration} more."
    )
    if num_prompts < _LITTLE:
        seen += " That is little: it tells kinds of tasks apart better than prompts of one kind."
    return f"{seen} All are single questions; nothing was learned of longer conversations."
