"""What a pass must read and compute, against a graph small enough to count by hand."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.limits import machine
from bench.limits.graph_costs import PassCosts
from bench.limits.machine import Machine
from tests.tiny_model import FEED_FORWARD, HEAD_DIM, HEADS, KV_HEADS, LAYERS, tiny_gguf
from tiercel.engines.graph_store import built_graph
from tiercel.models.gguf_weights import GgufWeights
from tiercel.models.weights import ModelConfig


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> GgufWeights:
    return GgufWeights(tiny_gguf(tmp_path_factory.mktemp("model")))


@pytest.fixture
def config(weights: GgufWeights) -> ModelConfig:
    return weights.config


def graph():
    weights = {
        "table": np.zeros((100, 64), np.float32),
        "codes": np.zeros((32, 2, 16), np.uint8),
        "scales": np.zeros((32, 2), np.float32),
        "head": np.zeros((32, 100), np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node(
            "MatMulNBits", ["rows", "codes", "scales"], ["hidden"],
            domain="com.microsoft", K=64, N=32, bits=4, block_size=32, accuracy_level=4,
        ),
        helper.make_node("MatMul", ["hidden", "head"], ["logits"]),
        helper.make_node("MatMul", ["hidden", "head"], ["again"]),
    ]  # fmt: skip
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["width"])
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    return helper.make_model(helper.make_graph(nodes, "tiny", [ids], [out], tensors))


def test_weights_are_read_once_and_tables_not_at_all(config: ModelConfig):
    costs = PassCosts.of(graph(), config)
    assert costs.weight_bytes == 32 * 2 * 16 + 32 * 2 * 4 + 32 * 100 * 4
    assert costs.int8_ops == 2 * 64 * 32
    assert costs.fp32_ops == 2 * (2 * 32 * 100)


def test_the_cache_is_read_and_attended_for_every_token_it_holds(config: ModelConfig):
    costs = PassCosts.of(graph(), config)
    per_token = 2 * LAYERS * KV_HEADS * HEAD_DIM * 4
    assert costs.num_bytes(10) - costs.num_bytes(0) == 10 * per_token
    per_row = 4 * LAYERS * HEADS * HEAD_DIM
    assert costs.attention_ops == per_row


def test_the_limit_is_reading_for_narrow_passes_and_computing_for_wide_ones(config: ModelConfig):
    costs = PassCosts.of(graph(), config)
    on = Machine(threads=1, bandwidth=1e6, int8_rate=1e6, fp32_rate=1e6)
    reading = costs.weight_bytes / 1e6
    computing = (costs.int8_ops + costs.fp32_ops) / 1e6
    assert costs.limit_s(on, width=1, context=0) == pytest.approx(max(reading, computing))
    fast = Machine(threads=1, bandwidth=1e6, int8_rate=1e12, fp32_rate=1e12)
    assert costs.limit_s(fast, width=4, context=0) == pytest.approx(reading)
    slow = Machine(threads=1, bandwidth=1e12, int8_rate=1e6, fp32_rate=1e6)
    assert costs.limit_s(slow, width=4, context=0) == pytest.approx(4 * computing)


def test_every_graph_whose_rate_is_measured_runs(monkeypatch):
    for name, size in (("_BUFFER_BYTES", 1 << 16), ("_ROWS", 4), ("_INNER", 64), ("_COLUMNS", 32)):
        monkeypatch.setattr(machine, name, size)
    found = machine.measure(threads=1, tries=1)
    assert min(found.bandwidth, found.int8_rate, found.fp32_rate) > 0


def test_a_real_graph_computes_what_its_matrices_say(weights: GgufWeights, tmp_path, monkeypatch):
    """Of the engine's own graph in float32, every matrix once for each row."""
    monkeypatch.setenv("TIERCEL_CACHE", str(tmp_path))
    costs = PassCosts.read(built_graph(weights, "fp32"), weights.config)
    hidden, packed = HEADS * HEAD_DIM, (HEADS + 2 * KV_HEADS) * HEAD_DIM
    of_a_layer = hidden * (packed + hidden + 3 * FEED_FORWARD)
    numbers = LAYERS * of_a_layer + hidden * weights.config.vocab_size
    assert costs.int8_ops == 0
    assert costs.fp32_ops == 2 * numbers
    assert costs.weight_bytes == 4 * numbers
