"""Builds the ONNX graph of a llama-family decoder straight from its weights."""

import numpy as np
from onnx import TensorProto

from tiercel.engines.graph_file import CONTRIB, GraphFile
from tiercel.engines.graph_linear import Layers
from tiercel.models.weights import ModelConfig, Weights


class DecoderGraph:
    """The graph of one decoder.

    Inputs: `input_ids` int64 [S]; `padding` float32 [P, qkv] with P of 0 or 1, rows added to
    the attention alone; `seqlens_k` int32 [1] and `total_sequence_length` int32, which count them;
    `logit_positions` int64 [R]; `past.<layer>.key` and `.value` float32 [1, heads, capacity,
    head_dim]. Outputs: `logits` float32 [R, vocab]; `logit_rows` float32 [R, hidden], the head's
    input; `present.<layer>.key` and `.value`, to be bound to the buffers of the past.
    """

    def __init__(self, graph: GraphFile, weights: Weights, layers: Layers) -> None:
        self._graph = graph
        self._weights = weights
        self._layers = layers
        self._config = weights.config

    def build(self) -> None:
        """Write every node and weight of the decoder."""
        self._declare_inputs()
        hidden, residual = self._rows(), ""
        for index in range(self._config.num_layers):
            hidden, residual = self._block(index, hidden, residual)
        rows, _ = self._normalized("output_norm.weight", hidden, residual)
        rows = self._graph.node("Gather", [rows, "logit_positions"], ["logit_rows"], axis=0)
        head = "token_embd.weight" if self._config.tied_embeddings else "output.weight"
        self._layers.linear(rows, [head], "logits")
        self._graph.output("logits", TensorProto.FLOAT, ["rows", self._config.vocab_size])
        self._graph.output("logit_rows", TensorProto.FLOAT, ["rows", self._config.hidden_size])

    def _rows(self) -> str:
        """Return what goes into the first layer."""
        return self._layers.embedding("input_ids", "token_embd.weight")

    def _declare_inputs(self) -> None:
        graph, config = self._graph, self._config
        packed = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        graph.input("input_ids", TensorProto.INT64, ["width"])
        graph.input("padding", TensorProto.FLOAT, ["pad", packed])
        graph.input("seqlens_k", TensorProto.INT32, [1])
        graph.input("total_sequence_length", TensorProto.INT32, [])
        graph.input("logit_positions", TensorProto.INT64, ["rows"])
        graph.constant("zero", np.zeros(1, np.int64))
        graph.node("Shape", ["input_ids"], ["width"], start=0, end=1)
        for name, table in zip(("cosines", "sines"), rotary_tables(config), strict=True):
            graph.weight(name, table)

    def _block(self, index: int, hidden: str, residual: str) -> tuple[str, str]:
        prefix = f"blk.{index}"
        rows, residual = self._normalized(f"{prefix}.attn_norm.weight", hidden, residual)
        rows = self._attention(prefix, index, rows)
        rows, residual = self._normalized(f"{prefix}.ffn_norm.weight", rows, residual)
        return self._feed_forward(prefix, rows), residual

    def _normalized(self, name: str, hidden: str, residual: str) -> tuple[str, str]:
        """Return the RMS norm of hidden + residual, and that sum."""
        graph = self._graph
        gain = graph.weight(name, self._weights.dense(name))
        out, total = f"{name}.out", f"{name}.sum"
        epsilon = self._config.norm_epsilon
        if not residual:
            graph.node(
                "SimplifiedLayerNormalization", [hidden, gain], [out], epsilon=epsilon, axis=-1
            )
            return out, hidden
        graph.node(
            "SkipSimplifiedLayerNormalization",
            [hidden, residual, gain],
            [out, "", "", total],
            domain=CONTRIB,
            epsilon=epsilon,
        )
        return out, total

    def _attention(self, prefix: str, index: int, rows: str) -> str:
        graph, config = self._graph, self._config
        projections = [f"{prefix}.attn_{part}" for part in "qkv"]
        packed = self._layers.linear(
            rows, [f"{name}.weight" for name in projections], f"{prefix}.qkv"
        )
        if config.has_qkv_bias:
            bias = np.concatenate([self._weights.dense(f"{name}.bias") for name in projections])
            graph.weight(f"{prefix}.qkv.bias", bias)
            packed = graph.node("Add", [packed, f"{prefix}.qkv.bias"], [f"{prefix}.qkv.biased"])
        padded = graph.node("Concat", [packed, "padding"], [f"{prefix}.qkv.padded"], axis=0)
        padded = graph.node("Unsqueeze", [padded, "zero"], [f"{prefix}.qkv.batch"])
        attended = self._grouped_query_attention(prefix, index, padded)
        attended = graph.node("Squeeze", [attended, "zero"], [f"{prefix}.attention.rows"])
        kept = graph.node("Slice", [attended, "zero", "width", "zero"], [f"{prefix}.attended"])
        return self._layers.linear(kept, [f"{prefix}.attn_output.weight"], f"{prefix}.attn_out")

    def _grouped_query_attention(self, prefix: str, index: int, packed: str) -> str:
        graph, config = self._graph, self._config
        shape = [1, config.num_kv_heads, "capacity", config.head_dim]
        past = [f"past.{index}.{kind}" for kind in ("key", "value")]
        present = [f"present.{index}.{kind}" for kind in ("key", "value")]
        for name in past:
            graph.input(name, TensorProto.FLOAT, shape)
        for name in present:
            graph.output(name, TensorProto.FLOAT, shape)
        lengths = ["seqlens_k", "total_sequence_length"]
        return graph.node(
            "GroupQueryAttention",
            [packed, "", "", *past, *lengths, "cosines", "sines"],
            [f"{prefix}.attention", *present],
            domain=CONTRIB,
            num_heads=config.num_heads,
            kv_num_heads=config.num_kv_heads,
            do_rotary=1,
        )

    def _feed_forward(self, prefix: str, rows: str) -> str:
        graph = self._graph
        names = [f"{prefix}.ffn_gate.weight", f"{prefix}.ffn_up.weight"]
        both = self._layers.linear(rows, names, f"{prefix}.gate_up")
        gate, up = f"{prefix}.gate", f"{prefix}.up"
        graph.node("Split", [both], [gate, up], axis=-1, num_outputs=2)
        # x * sigmoid(alpha * x) with alpha 1 is SiLU.
        gate = graph.node("QuickGelu", [gate], [f"{prefix}.silu"], domain=CONTRIB, alpha=1.0)
        gated = graph.node("Mul", [gate, up], [f"{prefix}.gated"])
        return self._layers.linear(gated, [f"{prefix}.ffn_down.weight"], f"{prefix}.ffn")


def rotary_tables(config: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines, float32 [positions, head_dim // 2] (arXiv:2104.09864).

    One position more than the context holds is for the padding row behind its last token.
    """
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / config.head_dim
    frequencies = (1.0 / config.rope_theta**exponents).astype(np.float32)
    if config.rope_divisors:
        frequencies /= np.array(config.rope_divisors, np.float32)
    positions = np.arange(graph_positions(config) + 1, dtype=np.float32)
    angles = np.outer(positions, frequencies)
    return np.cos(angles), np.sin(angles)


def graph_positions(config: ModelConfig) -> int:
    """Return how many tokens a graph of this model can hold."""
    return min(config.context_length, 32_768)
