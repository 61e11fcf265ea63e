"""Runs a fitted model: prompt features in, seconds of each plan out, well under a millisecond."""

import math
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from tiercel.errors import ModelUnavailable
from tiercel.plan_text import parse_plan
from tiercel.prediction.features import features
from tiercel.prediction.manifest import MODEL_FILE, HeadKind, Manifest, read
from tiercel.wire.requests import Prompt

INPUT, OUTPUT = "features", "predictions"


@dataclass(frozen=True)
class Prediction:
    """What the model says of one request; plans and pairs that it does not know are absent."""

    seconds: dict[str, float]  # by plan
    num_tokens: dict[str, float]  # by root tier, token limit included
    acceptance: dict[str, float]  # by "drafter under verifier", in [0, 1]
    quality: dict[str, float]  # by plan, in [0, 1]


class Predictor:
    """A model and its manifest."""

    def __init__(self, manifest: Manifest, model: bytes) -> None:
        self.manifest = manifest
        self._roots = {name: parse_plan(text).tier for name, text in manifest.plans.items()}
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    @classmethod
    def load(cls, folder: Path) -> "Predictor":
        """Return the predictor in `folder`; raises ModelUnavailable in one line."""
        manifest = read(folder)
        try:
            return cls(manifest, (folder / MODEL_FILE).read_bytes())
        except Exception as error:  # ONNX Runtime's own exceptions share no public base
            raise ModelUnavailable(f"{folder / MODEL_FILE} cannot be loaded: {error}") from None

    def predict(self, prompt: Prompt, *, temperature: float, max_new_tokens: int) -> Prediction:
        """Return what each plan would take."""
        row = features(prompt, temperature=temperature)[None, :]
        (outputs,) = self._session.run([OUTPUT], {INPUT: row})
        values: dict[HeadKind, dict[str, float]] = {}
        for head, output in zip(self.manifest.heads, outputs[0].tolist(), strict=True):
            value = math.exp(output) if head.log else output
            values.setdefault(head.kind, {})[head.of] = value
        lengths = {
            root: min(length, max_new_tokens)
            for root, length in values.get("output_length", {}).items()
        }
        return Prediction(
            seconds=self._seconds(values, lengths),
            num_tokens=lengths,
            acceptance=_clipped(values.get("acceptance", {})),
            quality=_clipped(values.get("quality", {})),
        )

    def _seconds(
        self, values: dict[HeadKind, dict[str, float]], lengths: dict[str, float]
    ) -> dict[str, float]:
        first, each = values.get("first_token_s", {}), values.get("token_s", {})
        return {
            plan: first[plan] + each[plan] * max(0.0, lengths[root] - 1)
            for plan, root in self._roots.items()
            if plan in first and plan in each and root in lengths
        }


def _clipped(values: dict[str, float]) -> dict[str, float]:
    return {name: min(max(value, 0.0), 1.0) for name, value in values.items()}
