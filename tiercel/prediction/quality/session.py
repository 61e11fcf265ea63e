"""Runs the exported graph in ONNX Runtime: outputs, hidden numbers and informed logits of rows."""

from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tiercel.prediction.quality import graph

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the graph says of n rows."""

    outputs: Floats  # [n, 2 * plans + pairs]
    hidden: Floats  # [n, hidden]: odds of kinds, then what the linear map adds
    informed_logits: Floats | None  # [n, plans]; None without evidence


def single_threaded(model: bytes) -> onnxruntime.InferenceSession:
    """Return an ONNX model, loaded; it takes one thread, which does not spin while it waits."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Session:
    """One graph, loaded."""

    def __init__(self, model: bytes) -> None:
        self._session = single_threaded(model)
        shapes = {one.name: one.shape for one in self._session.get_inputs()}
        self.num_features = int(shapes[graph.FEATURES][1])
        evidence = shapes.get(graph.EVIDENCE)
        self.evidence_shape = None if evidence is None else (int(evidence[1]), int(evidence[2]))

    def run(self, features: Floats, evidence: Floats | None) -> Outputs:
        """Return what the graph says of rows, and of their evidence if it takes any."""
        feed = {graph.FEATURES: np.asarray(features, np.float32)}
        names = [graph.OUTPUTS, graph.HIDDEN]
        if self.evidence_shape is not None:
            # It wants a value even where none is known.
            unknown = np.full((len(features), *self.evidence_shape), np.nan, np.float32)
            feed[graph.EVIDENCE] = unknown if evidence is None else evidence.astype(np.float32)
            names.append(graph.INFORMED)
        outputs, hidden, *informed = self._session.run(names, feed)
        known = evidence is not None and bool(informed)
        return Outputs(outputs, hidden, informed[0] if known else None)
