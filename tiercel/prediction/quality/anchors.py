"""A tier that was never trained on: its scores on anchor prompts, and the nearest of these.

As UniRoute has it (arXiv:2502.08773), a model is what it gets right on a few representative
prompts; nothing is trained again.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tiercel.errors import ModelUnavailable
from tiercel.prediction.quality.manifest import AddedTier

Floats = NDArray[np.float32]

NEIGHBOURS = 20
_PRIOR = 4.0  # anchors' worth of the mean of all
_SHARPNESS = 4.0


@dataclass(frozen=True, eq=False)
class Anchors:
    """Anchor prompts as the model sees them, and one tier's scores on them."""

    hidden: Floats  # [anchors, hidden]
    scores: Floats  # [anchors]
    mean_length: float  # tokens of the tier's answers; NaN if not known
    record: AddedTier | None = None

    def neighbours_logits(self, hidden: Floats, *, own: bool = False) -> Floats:
        """Return the logit of the nearest anchors' mean score for rows [n, hidden].

        With `own` the rows are the anchors themselves, and none is its own neighbour.
        """
        near = _directions(hidden) @ _directions(self.hidden).T
        if own:
            np.fill_diagonal(near, -np.inf)
        count = min(NEIGHBOURS, len(self.scores) - own)
        nearest = np.argpartition(-near, count - 1, axis=1)[:, :count]
        weights = np.exp(_SHARPNESS * np.take_along_axis(near, nearest, axis=1))
        means = (weights * self.scores[nearest]).sum(axis=1) / weights.sum(axis=1)
        prior = np.clip(self.scores.mean(), 0.02, 0.98)
        shrunk = (means * count + prior * _PRIOR) / (count + _PRIOR)
        logits: Floats = np.log(shrunk / (1.0 - shrunk)).astype(np.float32)
        return logits

    def logits(self, hidden: Floats, known_logits: Floats, *, own: bool = False) -> Floats:
        """Return the tier's logits: of its neighbours, and of the plans trained on, [n, plans]."""
        assert self.record is not None
        neighbours = self.neighbours_logits(hidden, own=own) * self.record.of_neighbours
        known = known_logits.mean(axis=1) * self.record.of_known
        logits: Floats = neighbours + known + np.float32(self.record.intercept)
        return logits

    def forecast(self, hidden: Floats, known_logits: Floats) -> tuple[Floats, Floats]:
        """Return the tier's qualities and lower bounds for n rows."""
        assert self.record is not None
        calibration = self.record.calibration
        quality = calibration.quality(self.logits(hidden, known_logits))
        return quality, calibration.bound(quality)


def file_name(tier: str) -> str:
    """Return the name of the file of a tier's anchors."""
    return f"anchors-{sha256(tier.encode()).hexdigest()[:12]}.safetensors"


def saved(anchors: Anchors) -> bytes:
    """Return the content of the file; the record stands in the manifest."""
    return bytes(
        save(
            {
                "hidden": anchors.hidden.astype(np.float16),
                "scores": anchors.scores.astype(np.float32),
                "mean_length": np.array([anchors.mean_length], np.float32),
            }
        )
    )


def read(folder: Path, tier: str, record: AddedTier) -> Anchors:
    """Return an added tier's anchors; raises ModelUnavailable if they are not its record's."""
    path = folder / file_name(tier)
    try:
        content = path.read_bytes()
        if sha256(content).hexdigest() != record.file_sha256:
            raise ModelUnavailable(f"{path} is not the file of its manifest")
        columns = load(content)
    except OSError as error:
        raise ModelUnavailable(f"quality predictor: {path}: {error.strerror}") from None
    except SafetensorError as error:
        raise ModelUnavailable(f"{path}: {error}") from None
    return of_columns(columns, record)


def of_columns(columns: dict[str, NDArray[np.generic]], record: AddedTier | None) -> Anchors:
    """Return the anchors that a file's columns hold."""
    return Anchors(
        columns["hidden"].astype(np.float32),
        columns["scores"].astype(np.float32),
        float(columns["mean_length"].astype(np.float64)[0]),
        record,
    )


def _directions(rows: Floats) -> Floats:
    """Return rows of length 1; what the model sees nothing in stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: Floats = (rows / np.maximum(lengths, 1e-9)).astype(np.float32)
    return directions
