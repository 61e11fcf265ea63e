"""Keeps built ONNX graphs in the cache folder, one for each model, dtype and builder version."""

from pathlib import Path

from tiercel.engines.graph import DecoderGraph
from tiercel.engines.graph_file import GRAPH_FILE, GraphFile
from tiercel.engines.graph_linear import BlockLayers, DenseLayers, Layers
from tiercel.errors import InvalidRequest
from tiercel.models.storage import cache_folder, stored
from tiercel.models.weights import Weights

# To be raised whenever the graph built from the same weights changes.
BUILDER_VERSION = 4

_BITS = {"int8": 8, "int4": 4}
DTYPES = ("fp32", *_BITS)


def built_graph(weights: Weights, dtype: str) -> Path:
    """Return the file of the model's graph in `dtype`, built first if it never was."""
    if dtype not in DTYPES:
        raise InvalidRequest("dtype", dtype, f"the onnx engine knows {', '.join(DTYPES)}")
    key = f"{weights.digest[:32]}-{dtype}-v{BUILDER_VERSION}"
    folder = stored(cache_folder() / "graphs" / key, lambda target: _build(weights, dtype, target))
    return folder / GRAPH_FILE


def _build(weights: Weights, dtype: str, folder: Path) -> None:
    graph = GraphFile(folder)
    DecoderGraph(graph, weights, _layers(graph, weights, dtype)).build()
    graph.save()


def _layers(graph: GraphFile, weights: Weights, dtype: str) -> Layers:
    if dtype == "fp32":
        return DenseLayers(graph, weights)
    return BlockLayers(graph, weights, _BITS[dtype])
