"""Writes an ONNX graph node by node, its weights to one external file beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "weights.bin"
CONTRIB = "com.microsoft"
_OPSET = 21
_IR_VERSION = 10
_ALIGNMENT = 4096  # lets the runtime map each tensor instead of reading it


class GraphFile:
    """One graph under construction in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._weights = (folder / WEIGHTS_FILE).open("wb")
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, element_type: int, shape: list[Any]) -> str:
        """Declare a graph input and return its name."""
        self._inputs.append(helper.make_tensor_value_info(name, element_type, shape))
        return name

    def output(self, name: str, element_type: int, shape: list[Any]) -> None:
        """Declare a value as a graph output."""
        self._outputs.append(helper.make_tensor_value_info(name, element_type, shape))

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Store a small array inside the graph and return its name."""
        self._initializers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """Store an array in the external file and return its name."""
        values = np.ascontiguousarray(values)
        self._weights.write(b"\0" * (-self._weights.tell() % _ALIGNMENT))
        offset = self._weights.tell()
        self._weights.write(values.data)
        self._refer(name, values.dtype, values.shape, offset, values.nbytes)
        return name

    def alias(self, name: str, of: str, shape: tuple[int, ...]) -> str:
        """Name the bytes of the stored weight `of` once more, under another shape."""
        stored = next(tensor for tensor in self._initializers if tensor.name == of)
        copy = onnx.TensorProto()
        copy.CopyFrom(stored)
        copy.name = name
        copy.dims[:] = shape
        self._initializers.append(copy)
        return name

    def node(
        self,
        operator: str,
        inputs: list[str],
        outputs: list[str],
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Append a node and return the name of its first output."""
        self._nodes.append(
            helper.make_node(
                operator, inputs, outputs, name=outputs[0], domain=domain, **attributes
            )
        )
        return outputs[0]

    def save(self) -> None:
        """Write the graph beside its weights."""
        self._weights.close()
        graph = helper.make_graph(
            self._nodes, "tiercel", self._inputs, self._outputs, self._initializers
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        onnx.save(model, self._folder / GRAPH_FILE)

    def _refer(
        self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, size: int
    ) -> None:
        tensor = TensorProto(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(dtype),
            dims=shape,
            data_location=TensorProto.EXTERNAL,
        )
        entries = {"location": WEIGHTS_FILE, "offset": str(offset), "length": str(size)}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        self._initializers.append(tensor)
