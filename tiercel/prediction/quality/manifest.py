"""What a quality predictor says about itself; one without a fitting manifest is not loaded."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from tiercel.errors import ModelUnavailable
from tiercel.prediction.manifest_file import OfModel, Section, read_checked
from tiercel.prediction.quality import featuriser
from tiercel.prediction.quality.calibration import PlanCalibration
from tiercel.stopping.evidence import EVIDENCE_NAMES, EVIDENCE_VERSION

MODEL_FILE = "quality.onnx"
MANIFEST_FILE = "quality.json"


class TierRecord(Section):
    """The model that stood behind a tier's name when it was measured."""

    model: str
    dtype: str
    weights_digest: str


class PlanRecord(Section):
    """What is known of one plan, and how well it is predicted on prompts held out.

    `skill` is the Brier skill over the mean of each kind, `auroc` the median over kinds. None
    where too little was measured to say.
    """

    name: str
    num_scores: int
    num_lengths: int
    mean_score: float
    skill: float | None = None
    auroc: float | None = None
    calibration_error: float | None = None


class EmbeddingRecord(Section):
    """The encoder whose embedding of a text stands behind its other features."""

    name: str
    model_sha256: str
    tokenizer_sha256: str
    size: int


class AddedTier(Section):
    """A tier that was not trained on: its scores on anchor prompts stand in a file of their own."""

    file_sha256: str
    num_anchors: int
    intercept: float
    of_neighbours: float  # weight of the logit of the nearest anchors' scores
    of_known: float  # weight of the mean logit of the plans that were trained on
    calibration: PlanCalibration
    tier: TierRecord | None = None


class QualityManifest(OfModel):
    """The content of quality.json."""

    format: Literal[2] = 2
    features_version: int = featuriser.VERSION
    features_hash: str
    embedding: EmbeddingRecord | None = None  # none: hashed words and signals are all
    evidence_version: int = EVIDENCE_VERSION
    evidence_names: tuple[str, ...]  # none: predictions are from the prompt alone
    plans: tuple[PlanRecord, ...]
    pairs: tuple[str, ...]
    calibrations: tuple[PlanCalibration, ...]  # by plan
    informed_calibrations: tuple[PlanCalibration, ...]  # by plan, given evidence
    tiers: dict[str, TierRecord]
    added: dict[str, AddedTier] = Field(default_factory=dict)
    data_sha256: dict[str, str]  # of what it was fitted on, by name
    num_prompts: int
    num_calibration_prompts: int
    kinds: tuple[str, ...]
    seed: int
    note: str  # how far it is to be trusted


def read(folder: Path) -> QualityManifest:
    """Return the manifest in `folder`.

    Raises ModelUnavailable, in one line, if it or its model is missing or changed, or was fitted
    on features or evidence of another definition than this version's.
    """
    files = (folder / MANIFEST_FILE, folder / MODEL_FILE)
    manifest = read_checked(*files, QualityManifest, "quality predictor")
    _check(manifest, folder)
    return manifest


def _check(manifest: QualityManifest, folder: Path) -> None:
    evidence = (EVIDENCE_VERSION, EVIDENCE_NAMES)
    known = (manifest.evidence_version, manifest.evidence_names)
    tables = (len(manifest.calibrations), len(manifest.informed_calibrations))
    num_plans = len(manifest.plans)
    checks = (
        (manifest.features_version == featuriser.VERSION, "features of another version"),
        (manifest.features_hash == featuriser.definition_hash(), "features of another definition"),
        (not manifest.evidence_names or known == evidence, "evidence of another definition"),
        (
            tables in ((num_plans, 0), (num_plans, num_plans)),
            "a number of plans that its calibrations do not have",
        ),
    )
    for holds, what in checks:
        if not holds:
            raise ModelUnavailable(f"{folder}: fitted on {what}; train again")
