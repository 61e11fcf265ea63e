"""What a fitted model says about itself; a model without a fitting manifest is not loaded."""

from pathlib import Path
from typing import Literal

from tiercel.errors import ModelUnavailable
from tiercel.prediction import features
from tiercel.prediction.manifest_file import OfModel, Section, read_checked

MODEL_FILE = "predictor.onnx"
MANIFEST_FILE = "manifest.json"

HeadKind = Literal["output_length", "first_token_s", "token_s", "acceptance", "quality"]


class Head(Section):
    """One output of the model, by its place in `heads`.

    Errors are mean absolute ones over held-out prompts, in the head's own unit; `baseline_error`
    is that of the mean of all outcomes. A `log` head gives the logarithm.
    """

    kind: HeadKind
    of: str  # root tier, plan, or "drafter under verifier"
    log: bool
    model: str
    num_outcomes: int
    error: float
    baseline_error: float


class Manifest(OfModel):
    """The content of manifest.json."""

    format: Literal[1] = 1
    features_version: int
    feature_names: tuple[str, ...]
    plans: dict[str, str]  # name: text
    heads: tuple[Head, ...]
    outcomes_sha256: str
    num_outcomes: int
    num_prompts: int
    share_censored: float  # outcomes that ended at their token limit, not by themselves

    @property
    def has_quality(self) -> bool:
        """Whether some output predicts quality."""
        return any(head.kind == "quality" for head in self.heads)


def read(folder: Path) -> Manifest:
    """Return the manifest in `folder`.

    Raises ModelUnavailable, in one line, if it or its model is missing, changed, or was fitted on
    other features than this version's.
    """
    files = (folder / MANIFEST_FILE, folder / MODEL_FILE)
    manifest = read_checked(*files, Manifest, "predictor")
    own = (features.VERSION, features.NAMES)
    if (manifest.features_version, manifest.feature_names) != own:
        raise ModelUnavailable(
            f"{folder}: fitted on features of version {manifest.features_version}, "
            f"this is version {features.VERSION}; train again"
        )
    return manifest
