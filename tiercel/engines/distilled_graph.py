"""Builds the ONNX graph of a distilled drafter out of the parts of a decoder's."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from tiercel.engines.distilled_file import DrafterShape
from tiercel.engines.graph import DecoderGraph
from tiercel.engines.graph_file import GraphFile
from tiercel.engines.graph_linear import BlockLayers, DenseLayers, Layers
from tiercel.models.blocks import QuantizedBlocks
from tiercel.models.weights import ModelConfig

_BITS = {"int8": 8, "int4": 4}


class DrafterWeights:
    """The tensors of a drafter, by the names that its graph gives them."""

    digest = ""

    def __init__(self, shape: DrafterShape, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self._shape, self._tensors = shape, tensors

    @property
    def config(self) -> ModelConfig:
        """The drafter's shape as that of a model."""
        return self._shape.config()

    def dense(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32."""
        return self._tensors[name]

    def blocks(self, name: str) -> QuantizedBlocks | None:
        """Return None: the tensors are floats."""
        return None


class DrafterGraph(DecoderGraph):
    """The graph of one drafter: that of a decoder, apart from where its rows come from.

    One more input, `hidden` float32 [S, hidden_size], for a drafter that uses hidden states;
    `input_ids` are rows of the drafter's own table, `logits` those of the ids it can propose. The
    output `logit_rows` stands for the target's next hidden states.
    """

    def __init__(
        self, graph: GraphFile, weights: DrafterWeights, layers: Layers, *, uses_hidden: bool
    ) -> None:
        super().__init__(graph, weights, layers)
        self._uses_hidden = uses_hidden

    def _rows(self) -> str:
        rows = super()._rows()
        if not self._uses_hidden:
            return rows
        self._graph.input("hidden", TensorProto.FLOAT, ["width", self._config.hidden_size])
        both = self._graph.node("Concat", ["hidden", rows], ["fc.inputs"], axis=-1)
        return self._layers.linear(both, ["fc.weight"], "fc")


def build_drafter_graph(
    shape: DrafterShape, tensors: Mapping[str, NDArray[np.float32]], dtype: str, folder: Path
) -> None:
    """Write the graph and its weights into `folder`; `dtype` is fp32, int8 or int4."""
    graph, weights = GraphFile(folder), DrafterWeights(shape, tensors)
    bits = _BITS.get(dtype)
    layers = DenseLayers(graph, weights) if bits is None else BlockLayers(graph, weights, bits)
    DrafterGraph(graph, weights, layers, uses_hidden=shape.uses_hidden).build()
    graph.save()
