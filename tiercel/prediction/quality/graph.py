"""The fitted numbers as an ONNX graph of plain operators."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from tiercel.prediction.quality.weights import LIMIT, EvidenceWeights, Weights

FEATURES, EVIDENCE = "features", "evidence"
OUTPUTS, HIDDEN, INFORMED = "outputs", "hidden", "informed_logits"
"""What comes out: outputs, what tells prompts apart, and logits of quality given evidence."""
_OPSET, _IR_VERSION = 17, 8


class _Graph:
    """Collects nodes and constants; matrices are stored in half precision, which they fit."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: ArrayLike) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def half(self, value: NDArray[np.float32]) -> str:
        stored = self.constant(value.astype(np.float16))
        return self.add("Cast", stored, to=TensorProto.FLOAT)

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def limited(self, value: str) -> str:
        ends = (self.constant(np.float32(-LIMIT)), self.constant(np.float32(LIMIT)))
        return self.add("Clip", value, *ends)


def graph_of(weights: Weights, evidence: EvidenceWeights | None) -> bytes:
    """Return the model, checked; without evidence weights it has no input of evidence."""
    graph = _Graph()
    kinds = _outputs(graph, weights)
    num_plans = 0 if evidence is None else len(evidence.biases)
    inputs = [_float(FEATURES, [None, len(weights.scaling.means)])]
    num_kinds, num_outputs = weights.kind_outputs.shape
    outputs = [
        _float(OUTPUTS, [None, num_outputs]),
        _float(HIDDEN, [None, num_kinds + num_outputs]),
    ]
    if evidence is not None:
        _informed(graph, evidence, kinds)
        inputs.append(_float(EVIDENCE, [None, *evidence.scales.shape]))
        outputs.append(_float(INFORMED, [None, num_plans]))
    body = helper.make_graph(graph.nodes, "quality", inputs, outputs, graph.constants)
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _outputs(graph: _Graph, weights: Weights) -> str:
    """Add the outputs; return the name of the odds of kinds."""
    centred = graph.add("Sub", FEATURES, graph.constant(weights.scaling.means))
    scaled = graph.limited(graph.add("Mul", centred, graph.constant(weights.scaling.scales)))
    kind = graph.add("MatMul", scaled, graph.half(weights.kind))
    kind = graph.add("Add", kind, graph.constant(weights.kind_biases))
    odds = graph.add("Softmax", kind, axis=1)
    of_kinds = graph.add("MatMul", odds, graph.constant(weights.kind_outputs))
    linear = graph.add("MatMul", scaled, graph.half(weights.linear))
    graph.add("Add", of_kinds, linear, out=OUTPUTS)
    graph.add("Concat", odds, linear, axis=1, out=HIDDEN)
    return odds


def _informed(graph: _Graph, evidence: EvidenceWeights, kinds: str) -> None:
    """Add the logits given evidence; a plan of which any number is NaN has not begun."""
    num_kinds, num_plans, num_features = evidence.means.shape
    missing = graph.add("Cast", graph.add("IsNaN", EVIDENCE), to=TensorProto.FLOAT)
    axis = graph.constant(np.array([2]))
    any_missing = graph.add("ReduceSum", missing, axis, keepdims=1)
    begun = graph.add("Equal", any_missing, graph.constant(np.float32(0)))
    means = graph.constant(evidence.means.reshape(num_kinds, -1))
    usual = graph.add("MatMul", kinds, means)
    shape = graph.constant(np.array([-1, num_plans, num_features]))
    centred = graph.add("Sub", EVIDENCE, graph.add("Reshape", usual, shape))
    scaled = graph.limited(graph.add("Mul", centred, graph.constant(evidence.scales)))
    present = graph.add("Where", begun, scaled, graph.constant(np.float32(0)))
    flags = graph.add("Cast", begun, to=TensorProto.FLOAT)
    terms = graph.add("Concat", flags, present, axis=2)
    width = num_plans * (1 + num_features)
    flat = graph.add("Reshape", terms, graph.constant(np.array([-1, width])))
    each = np.concatenate((evidence.begun[:, None], evidence.evidence), axis=1)
    added = graph.add("MatMul", flat, graph.constant(each.reshape(width, num_plans)))
    logits = graph.add("Slice", OUTPUTS, *_ends(graph, [0], [num_plans]))
    kept = graph.add("Mul", logits, graph.constant(evidence.logit))
    both = graph.add("Add", kept, added)
    graph.add("Add", both, graph.constant(evidence.biases), out=INFORMED)


def _ends(graph: _Graph, starts: Sequence[int], ends: Sequence[int]) -> tuple[str, str, str]:
    arrays = (np.array(starts), np.array(ends), np.array([1]))
    first, last, axis = (graph.constant(one) for one in arrays)
    return first, last, axis


def _float(name: str, shape: Sequence[int | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
