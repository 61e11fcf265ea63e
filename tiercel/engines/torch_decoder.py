"""The forward pass of a decoder of the llama family over the rows of many sequences at once.

Own code and not the transformers library's: its batched caches want sequences of one length, and
its paged ones a scheduler of their own.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import embedding, linear, rms_norm, silu

from tiercel.engines.torch_attention import AttentionGrid, attend, mask_of
from tiercel.engines.torch_cache import PAGE_SIZE
from tiercel.engines.torch_passes import PassShape
from tiercel.engines.torch_ranks import Ranks
from tiercel.engines.torch_weights import DecoderWeights, LayerWeights
from tiercel.models.weights import ModelConfig


@dataclass(frozen=True)
class PassInputs:
    """A pass's integers on the device, as one tensor; `part` names a stretch of it."""

    shape: PassShape
    integers: torch.Tensor

    def parts(self) -> dict[str, torch.Tensor]:
        """Return all parts by name, as views."""
        sizes = self.shape.sizes()
        return dict(zip(sizes, torch.split(self.integers, list(sizes.values())), strict=True))


def arena(
    config: ModelConfig,
    weights: DecoderWeights,
    num_pages: int,
) -> torch.Tensor:
    """Return zeroed pages: [layers, keys and values, pages, PAGE_SIZE, kv_heads, head_dim]."""
    like = weights.embedding
    shape = (config.num_layers, 2, num_pages, PAGE_SIZE, weights.num_kv_heads, config.head_dim)
    if like.device.type == "cpu":
        # Fresh zeros of numpy are the system's: memory is used as pages are written.
        num_bytes = like.element_size() * int(np.prod(shape, dtype=np.int64))
        return torch.from_numpy(np.zeros(num_bytes, np.uint8)).view(like.dtype).view(shape)
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


class Decoder:
    """One rank's weights and pages, and the passes over them."""

    def __init__(
        self,
        config: ModelConfig,
        weights: DecoderWeights,
        pages: torch.Tensor,
        ranks: Ranks,
    ) -> None:
        """Run sequences whose keys and values are in `pages`."""
        self._config, self._weights, self._pages, self._ranks = config, weights, pages, ranks
        self._group_size = weights.num_heads // weights.num_kv_heads
        self._rotations = _rotations(config).to(weights.embedding)

    def keep_up(self, inputs: PassInputs) -> None:
        """Do what a pass wants done to the pages before it."""
        parts = inputs.parts()
        if inputs.shape.num_cleared:
            slots = self._pages.flatten(2, 3)
            slots.index_fill_(2, parts["cleared"], 0)
        if inputs.shape.num_copied:
            copied = self._pages.index_select(2, parts["copied_from"])
            self._pages.index_copy_(2, parts["copied_to"], copied)

    def hidden(self, inputs: PassInputs) -> torch.Tensor:
        """Append the rows to their sequences; return their normed hidden states, [rows, hidden]."""
        parts = inputs.parts()
        grids = self._grids(inputs.shape, parts)
        cos, sin = self._rotations[:, parts["positions"]].unsqueeze(2)
        states = embedding(parts["ids"], self._weights.embedding)
        for layer, pages in zip(self._weights.layers, self._pages, strict=True):
            normed = self._normed(states, layer.attention_norm)
            projected = linear(normed, layer.qkv, layer.qkv_bias)
            projected = projected.view(len(states), -1, self._config.head_dim)
            queries, keys, values = self._rotated(projected, cos, sin)
            pages[0].flatten(0, 1).index_copy_(0, parts["slots"], keys)
            pages[1].flatten(0, 1).index_copy_(0, parts["slots"], values)
            attended = [attend(queries, pages[0], pages[1], grid) for grid in grids]
            mixed = attended[0] if len(grids) == 1 else torch.cat(attended)
            if not inputs.shape.is_grid:
                mixed = mixed.index_select(0, parts["back"])
            states = states + self._ranks.added_up(linear(mixed, layer.attention_output))
            states = states + self._ranks.added_up(self._fed_forward(states, layer))
        return self._normed(states, self._weights.norm)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the head's output for some hidden states in float32; on rank 0, of all ranks."""
        own = linear(hidden, self._weights.head)
        return self._ranks.joined(own)[:, : self._config.vocab_size].float()

    def _fed_forward(self, states: torch.Tensor, layer: LayerWeights) -> torch.Tensor:
        normed = self._normed(states, layer.feed_forward_norm)
        gate, up = linear(normed, layer.gate_up).chunk(2, dim=-1)
        return linear(silu(gate) * up, layer.down)

    def _normed(self, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return rms_norm(states, weight.shape, weight, self._config.norm_epsilon)

    def _rotated(
        self, projected: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return queries and keys rotated by their positions, and values (arXiv:2104.09864)."""
        num_heads, num_kv_heads = self._weights.num_heads, self._weights.num_kv_heads
        turned, values = torch.split(projected, [num_heads + num_kv_heads, num_kv_heads], dim=1)
        first, second = turned.chunk(2, dim=-1)
        rotated = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
        queries, keys = torch.split(rotated, [num_heads, num_kv_heads], dim=1)
        return queries, keys, values

    def _grids(self, shape: PassShape, parts: dict[str, torch.Tensor]) -> list[AttentionGrid]:
        grids = []
        for number, grid in enumerate(shape.grids):
            rows = None if shape.is_grid else parts[f"rows {number}"]
            positions = parts["positions"] if rows is None else parts["positions"][rows]
            mask = mask_of(grid, positions, self._group_size, self._weights.embedding.dtype)
            grids.append(AttentionGrid(grid, rows, parts[f"tables {number}"], mask))
        return grids


def _rotations(config: ModelConfig) -> torch.Tensor:
    """Return cosines and sines for every position, [2, context_length, head_dim / 2]."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim
    frequencies = config.rope_theta**-exponents
    if config.rope_divisors:
        frequencies /= torch.tensor(config.rope_divisors, dtype=torch.float64)
    positions = torch.arange(config.context_length, dtype=torch.float64)
    angles = torch.outer(positions, frequencies)
    return torch.stack([angles.cos(), angles.sin()]).float()
