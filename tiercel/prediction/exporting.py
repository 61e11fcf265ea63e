"""Fitted regressors as one ONNX graph: one input of features, one column of output for each."""

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, compose, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from tiercel.prediction.predictor import INPUT, OUTPUT

_OPSETS = {"": 17, "ai.onnx.ml": 3}
_IR_VERSION = 8


def exported(regressors: Sequence[Any], num_features: int) -> bytes:
    """Return the model that gives the regressors' predictions, shape [n, len(regressors)]."""
    parts = [_part(one, index, num_features) for index, one in enumerate(regressors)]
    columns = [part.output[0].name for part in parts]
    join = helper.make_node("Concat", columns, [OUTPUT], axis=1)
    graph = helper.make_graph(
        [node for part in parts for node in part.node] + [join],
        "predictor",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, num_features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, len(parts)])],
        [initializer for part in parts for initializer in part.initializer],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _part(regressor: Any, index: int, num_features: int) -> onnx.GraphProto:
    """Return the graph of one regressor, its names its own but for the input."""
    model = convert_sklearn(
        regressor,
        initial_types=[(INPUT, FloatTensorType([None, num_features]))],
        target_opset=_OPSETS,
    )
    graph = compose.add_prefix(model, f"head{index}_").graph
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == graph.input[0].name:
                node.input[place] = INPUT
    return graph
