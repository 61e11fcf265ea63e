"""Writes a fitted model and its manifest to a folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tiercel.prediction.quality.featuriser import definition_hash
from tiercel.prediction.quality.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    EmbeddingRecord,
    PlanRecord,
    QualityManifest,
    TierRecord,
)
from tiercel.stopping.evidence import EVIDENCE_NAMES

if TYPE_CHECKING:
    from tiercel.prediction.quality.model import QualityModel


@dataclass(frozen=True)
class About:
    """What a manifest says beside the model's own tables."""

    plans: tuple[PlanRecord, ...]
    tiers: Mapping[str, TierRecord]
    data_sha256: Mapping[str, str]
    num_prompts: int
    num_calibration_prompts: int
    kinds: tuple[str, ...]
    seed: int
    note: str = ""
    embedding: EmbeddingRecord | None = None


def export(model: "QualityModel", folder: Path, about: About) -> QualityManifest:
    """Write model and manifest to `folder`, and return the manifest."""
    manifest = QualityManifest(
        features_hash=definition_hash(),
        embedding=about.embedding,
        evidence_names=EVIDENCE_NAMES if model.informed_calibrations else (),
        plans=about.plans,
        pairs=model.pair_names,
        calibrations=model.calibrations,
        informed_calibrations=model.informed_calibrations,
        tiers=dict(about.tiers),
        model_sha256=sha256(model.graph).hexdigest(),
        data_sha256=dict(about.data_sha256),
        num_prompts=about.num_prompts,
        num_calibration_prompts=about.num_calibration_prompts,
        kinds=about.kinds,
        seed=about.seed,
        note=about.note,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(model.graph)
    write_manifest(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: QualityManifest) -> None:
    """Write the manifest; a reader sees the old one or the new one, and nothing between."""
    path = folder / MANIFEST_FILE
    written = path.with_suffix(".new")
    written.write_text(manifest.model_dump_json(indent=1) + "\n")
    written.replace(path)
