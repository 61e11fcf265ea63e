"""Runs a quality predictor from its folder: a prompt in, the quality of each plan out."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.prediction.quality import anchors
from tiercel.prediction.quality.anchors import Anchors
from tiercel.prediction.quality.embedding import Embedding, installed
from tiercel.prediction.quality.featuriser import NUM_FEATURES, Conversation, features
from tiercel.prediction.quality.manifest import MODEL_FILE, QualityManifest, read
from tiercel.prediction.quality.model import QualityModel
from tiercel.prediction.quality.prediction import QualityPrediction
from tiercel.wire.requests import Prompt

Floats = NDArray[np.float32]

SHIPPED = Path(__file__).with_name("shipped")
"""The folder of the predictor that comes with Tiercel."""


class QualityPredictor:
    """A model, its manifest, tiers that were added to it, and what embeds texts for it, if any."""

    def __init__(
        self,
        manifest: QualityManifest,
        model: QualityModel,
        added: Mapping[str, Anchors],
        embedding: Embedding | None,
    ) -> None:
        self.manifest = manifest
        self._model = model
        self._embedding = embedding
        self._added = dict(added)
        self._places = {name: place for place, name in enumerate(model.plan_names)}

    @classmethod
    def load(
        cls,
        folder: Path = SHIPPED,
        *,
        weights_digests: Mapping[str, str] | None = None,
        embedding: Embedding | None = None,
    ) -> "QualityPredictor":
        """Return the predictor in `folder`.

        `weights_digests` are of the tiers that are served, by name. One that was fitted with an
        embedding takes `embedding`, or the one that is installed. Raises ModelUnavailable in one
        line: what is there is no predictor of this version, or was fitted on another model under
        a tier's name, or with another embedding.
        """
        manifest = read(folder)
        embedding = _embedding(manifest, folder, embedding)
        _check_tiers(manifest, folder, weights_digests or {})
        try:
            graph = (folder / MODEL_FILE).read_bytes()
            model = _model(manifest, graph)
            session = model.session
        except Exception as error:  # ONNX Runtime's own exceptions share no public base
            raise ModelUnavailable(f"{folder / MODEL_FILE} cannot be loaded: {error}") from None
        expected = (len(manifest.plans), len(manifest.evidence_names))
        has_evidence = bool(manifest.evidence_names)
        num_features = NUM_FEATURES + (0 if embedding is None else embedding.record.size)
        if session.num_features != num_features or (
            session.evidence_shape != (expected if has_evidence else None)
        ):
            raise ModelUnavailable(f"{folder / MODEL_FILE} is of another shape than its manifest")
        added = {name: anchors.read(folder, name, one) for name, one in manifest.added.items()}
        return cls(manifest, model, added, embedding)

    def predict(
        self,
        prompt: Prompt,
        *,
        temperature: float,
        max_new_tokens: int,
        conversation: Conversation | None = None,
        evidence: Mapping[str, Floats] | None = None,
    ) -> QualityPrediction:
        """Return what each plan's answer would be like.

        `evidence` holds the vector of tiercel.stopping.evidence of each plan whose answer has
        begun. Raises InvalidRequest for evidence of a plan that the model does not know.
        """
        row = features(
            prompt, temperature=temperature, conversation=conversation, embedding=self._embedding
        )[None, :]
        found = self._model.forecast(row, self._evidence(evidence or {}))
        quality, bound = dict(self._named(found.quality)), dict(self._named(found.bound))
        lengths = dict(self._named(found.num_tokens))
        if self._added:
            outputs = self._model.session.run(row, None)
            logits = outputs.outputs[:, : len(self._places)]
            for name, one in self._added.items():
                (quality[name],), (bound[name],) = one.forecast(outputs.hidden, logits)
                lengths[name] = one.mean_length
        pairs = zip(self._model.pair_names, found.acceptance[0].tolist(), strict=True)
        return QualityPrediction(
            quality={name: float(value) for name, value in quality.items()},
            bound=_known(bound),
            num_tokens={name: min(one, max_new_tokens) for name, one in _known(lengths).items()},
            acceptance=dict(pairs),
            features=row[0, :NUM_FEATURES],
        )

    def _named(self, values: Floats) -> Iterable[tuple[str, float]]:
        return zip(self._model.plan_names, values[0].tolist(), strict=True)

    def _evidence(self, evidence: Mapping[str, Floats]) -> Floats | None:
        if not evidence or not self.manifest.evidence_names:
            return None
        unknown = evidence.keys() - self._places.keys()
        if unknown:
            raise InvalidRequest("evidence", min(unknown), "is no plan of the predictor")
        rows = np.full((1, len(self._places), len(self.manifest.evidence_names)), np.nan)
        for name, vector in evidence.items():
            rows[0, self._places[name]] = vector
        return rows.astype(np.float32)


def _known(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if not math.isnan(value)}


def _model(manifest: QualityManifest, graph: bytes) -> QualityModel:
    return QualityModel(
        tuple(plan.name for plan in manifest.plans),
        manifest.pairs,
        graph,
        manifest.calibrations,
        manifest.informed_calibrations,
        tuple(plan.num_lengths for plan in manifest.plans),
    )


def _embedding(
    manifest: QualityManifest, folder: Path, given: Embedding | None
) -> Embedding | None:
    """Return what embeds texts for this predictor; None if it was fitted without."""
    wanted = manifest.embedding
    if wanted is None:
        return None
    found = given or installed()
    if found.record != wanted:
        raise ModelUnavailable(
            f"{folder}: fitted with {wanted.name}, and the one here is of other files; train again"
        )
    return found


def _check_tiers(
    manifest: QualityManifest, folder: Path, weights_digests: Mapping[str, str]
) -> None:
    known = dict(manifest.tiers)
    known |= {name: one.tier for name, one in manifest.added.items() if one.tier is not None}
    for name, record in known.items():
        served = weights_digests.get(name, "")
        if served and record.weights_digest and served != record.weights_digest:
            raise ModelUnavailable(
                f"{folder}: fitted on another model than the one served as tier {name!r}"
            )
