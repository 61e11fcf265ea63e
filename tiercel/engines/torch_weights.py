"""A llama-family model's weights as torch tensors, and the share of them that one rank holds.

The tensor-parallel plan is Megatron's (arXiv:1909.08053): heads, feed-forward units and the
vocabulary are split over the ranks; the two projections back into the hidden states are summed.
Each rank reads only what it holds. torch's own plans wrap every operator in DTensor, whose dispatch
on the host costs more than these small passes take on the device.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest
from tiercel.models.weights import ModelConfig, Weights

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Share:
    """Which part of a model one rank holds: everything, for one of one."""

    rank: int = 0
    num_ranks: int = 1

    def check(self, config: ModelConfig) -> None:
        """Raise InvalidRequest if the model cannot be split over so many ranks."""
        count = self.num_ranks
        heads_split = config.num_kv_heads % count == 0 or count % config.num_kv_heads == 0
        if config.num_heads % count or not heads_split or config.intermediate_size % count:
            raise InvalidRequest(
                "tensor_parallel",
                count,
                f"cannot split {config.num_heads} heads, {config.num_kv_heads} of keys and values, "
                f"and {config.intermediate_size} feed-forward units",
            )

    def of(self, size: int) -> slice:
        """Return this rank's part of `size` rows that split evenly."""
        part = size // self.num_ranks
        return slice(self.rank * part, (self.rank + 1) * part)

    def kv_heads(self, config: ModelConfig) -> slice:
        """Return this rank's heads of keys and values; several ranks hold one if there are few."""
        if config.num_kv_heads >= self.num_ranks:
            return self.of(config.num_kv_heads)
        first = self.rank * config.num_kv_heads // self.num_ranks
        return slice(first, first + 1)


@dataclass(frozen=True)
class LayerWeights:
    """One layer: projections as [outputs, inputs], those with the same input stacked."""

    attention_norm: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    attention_output: torch.Tensor
    feed_forward_norm: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


@dataclass(frozen=True)
class DecoderWeights:
    """All that one rank holds. `head` has the same number of rows on each, the last one padded."""

    embedding: torch.Tensor  # [vocab_size, hidden_size], on every rank
    layers: tuple[LayerWeights, ...]
    norm: torch.Tensor
    head: torch.Tensor
    num_heads: int
    num_kv_heads: int


class WeightsReader:
    """Reads a checkpoint's tensors as one rank needs them."""

    def __init__(
        self, weights: Weights, share: Share, dtype: torch.dtype, device: torch.device
    ) -> None:
        share.check(weights.config)
        self._weights, self._share = weights, share
        self._dtype, self._device = dtype, device

    def read(self) -> DecoderWeights:
        """Return the rank's share of the model on its device."""
        config, share = self._weights.config, self._share
        kv_heads = share.kv_heads(config)
        embedding = self._tensor(self._weights.dense("token_embd.weight"))
        return DecoderWeights(
            embedding=embedding,
            layers=tuple(self._layer(f"blk.{index}.") for index in range(config.num_layers)),
            norm=self._tensor(self._weights.dense("output_norm.weight")),
            head=self._head(embedding),
            num_heads=config.num_heads // share.num_ranks,
            num_kv_heads=kv_heads.stop - kv_heads.start,
        )

    def _layer(self, prefix: str) -> LayerWeights:
        config, share = self._weights.config, self._share
        units = share.of(config.intermediate_size)
        columns = share.of(config.num_heads * config.head_dim)

        def dense(name: str) -> Floats:
            return self._weights.dense(f"{prefix}{name}")

        bias = self._qkv(prefix, "bias") if config.has_qkv_bias else None
        return LayerWeights(
            attention_norm=self._tensor(dense("attn_norm.weight")),
            qkv=self._qkv(prefix, "weight"),
            qkv_bias=bias,
            attention_output=self._tensor(dense("attn_output.weight")[:, columns]),
            feed_forward_norm=self._tensor(dense("ffn_norm.weight")),
            gate_up=self._stacked(dense("ffn_gate.weight")[units], dense("ffn_up.weight")[units]),
            down=self._tensor(dense("ffn_down.weight")[:, units]),
        )

    def _qkv(self, prefix: str, kind: str) -> torch.Tensor:
        config = self._weights.config
        heads = self._share.of(config.num_heads), self._share.kv_heads(config)
        query, keys = (
            slice(part.start * config.head_dim, part.stop * config.head_dim) for part in heads
        )
        parts = (("attn_q", query), ("attn_k", keys), ("attn_v", keys))
        return self._stacked(
            *(self._weights.dense(f"{prefix}{name}.{kind}")[rows] for name, rows in parts)
        )

    def _head(self, embedding: torch.Tensor) -> torch.Tensor:
        config, count = self._weights.config, self._share.num_ranks
        part = -(-config.vocab_size // count)
        part_of_rank = slice(self._share.rank * part, (self._share.rank + 1) * part)
        if config.tied_embeddings:
            rows = embedding[part_of_rank]
        else:
            rows = self._tensor(self._weights.dense("output.weight")[part_of_rank])
        missing = part - len(rows)
        return torch.nn.functional.pad(rows, (0, 0, 0, missing)) if missing else rows

    def _stacked(self, *parts: Floats) -> torch.Tensor:
        return torch.cat([self._tensor(part) for part in parts])

    def _tensor(self, values: Floats) -> torch.Tensor:
        # Contiguous, and a copy: what the file's memory holds is not to be written.
        owned = np.array(values, np.float32, order="C")
        return torch.from_numpy(owned).to(self._device, self._dtype)
