"""A small drafter in torch: what it proposes after each token, over several steps of drafting.

The first step works on the target's hidden states, the next ones on the drafter's own (EAGLE,
arXiv:2401.15077); a query of step t sees the target's states up to its anchor and the drafter's
own since then, as it will when it drafts (HASS, arXiv:2408.15766).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from tiercel.engines.distilled_file import DrafterShape

Memory = list[tuple[Tensor, Tensor]]  # keys and values of a layer, one pair for each step


class TorchDrafter:
    """The weights of a drafter by name, and its forward pass."""

    def __init__(self, shape: DrafterShape, weights: Mapping[str, Tensor]) -> None:
        self.shape, self.weights = shape, dict(weights)
        exponents = torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim
        self._frequencies = 1.0 / shape.rope_theta**exponents

    def states(self, inputs: Tensor, hidden: Tensor | None, num_steps: int) -> list[Tensor]:
        """Return for each step what the drafter takes the target's next hidden state to be.

        `inputs` are rows of the embedding table [answers, tokens], `hidden` the target's states
        before each of them [answers, tokens, hidden_size]. Row i of step t comes of the target's
        states up to i and of the tokens up to i + t: it stands for state i + t + 1.
        """
        memories: list[Memory] = [[] for _ in range(self.shape.num_layers)]
        previous, states = hidden, []
        for step in range(num_steps):
            tokens = functional.pad(inputs[:, step:], (0, step))
            rows = functional.embedding(tokens, self.weights["token_embd.weight"])
            if previous is not None:
                rows = functional.linear(
                    torch.cat([previous, rows], dim=-1), self.weights["fc.weight"]
                )
            for layer, memory in enumerate(memories):
                rows = self._layer(f"blk.{layer}", rows, memory, step)
            states.append(self._normed("output_norm", rows))
            previous = states[-1] if self.shape.uses_hidden else None
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Return the logits of the ids that can be proposed."""
        return functional.linear(states, self.weights["output.weight"])

    def _layer(self, name: str, rows: Tensor, memory: Memory, step: int) -> Tensor:
        attended = self._attention(name, self._normed(f"{name}.attn_norm", rows), memory, step)
        rows = rows + self._linear(f"{name}.attn_output", attended)
        normed = self._normed(f"{name}.ffn_norm", rows)
        gate = functional.silu(self._linear(f"{name}.ffn_gate", normed))
        return rows + self._linear(
            f"{name}.ffn_down", gate * self._linear(f"{name}.ffn_up", normed)
        )

    def _attention(self, name: str, rows: Tensor, memory: Memory, step: int) -> Tensor:
        shape, length = self.shape, rows.shape[1]
        positions = torch.arange(step, step + length)
        query = self._rotated(self._heads(f"{name}.attn_q", rows, shape.num_heads), positions)
        keys = self._rotated(self._heads(f"{name}.attn_k", rows, shape.num_kv_heads), positions)
        values = self._heads(f"{name}.attn_v", rows, shape.num_kv_heads)
        repeats = shape.num_heads // shape.num_kv_heads
        memory.append(
            (keys.repeat_interleave(repeats, dim=1), values.repeat_interleave(repeats, dim=1))
        )
        if step == 0:
            mixed = functional.scaled_dot_product_attention(query, *memory[0], is_causal=True)
        else:
            mixed = _attended(query, memory)
        return mixed.transpose(1, 2).flatten(2)

    def _heads(self, name: str, rows: Tensor, count: int) -> Tensor:
        """Return a projection as [answers, heads, tokens, head_dim]."""
        answers, length, _ = rows.shape
        return self._linear(name, rows).view(answers, length, count, -1).transpose(1, 2)

    def _rotated(self, heads: Tensor, positions: Tensor) -> Tensor:
        """Turn by rotary positions (arXiv:2104.09864), the two halves of a head as pairs."""
        angles = torch.outer(positions.float(), self._frequencies)
        cosines, sines = angles.cos(), angles.sin()
        first, second = heads.chunk(2, dim=-1)
        return torch.cat(
            [first * cosines - second * sines, second * cosines + first * sines], dim=-1
        )

    def _linear(self, name: str, rows: Tensor) -> Tensor:
        return functional.linear(rows, self.weights[f"{name}.weight"])

    def _normed(self, name: str, rows: Tensor) -> Tensor:
        gain = self.weights[f"{name}.weight"]
        return functional.rms_norm(rows.float(), gain.shape, gain, self.shape.norm_epsilon)


def _attended(query: Tensor, memory: Memory) -> Tensor:
    """Attend to the first step's rows up to the query's own anchor, and to its later steps."""
    (keys, values), later = memory[0], memory[1:]
    length = query.shape[-2]
    scale = query.shape[-1] ** -0.5
    unseen = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = (query @ keys.transpose(-1, -2)).masked_fill(unseen, -torch.inf)
    own = [(query * other).sum(-1, keepdim=True) for other, _ in later]
    shares = torch.softmax(scale * torch.cat([scores, *own], dim=-1), dim=-1)
    mixed = shares[..., :length] @ values
    for index, (_, other) in enumerate(later):
        mixed = mixed + shares[..., length + index, None] * other
    return mixed
