"""What a checkpoint gives to an engine: its shape and its tensors, whatever file they come from.

Tensor names are those of GGUF (`blk.0.attn_q.weight`); rotary halves are laid out as in the
transformers library, whichever layout the file has.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.models.blocks import QuantizedBlocks

SUPPORTED_ARCHITECTURES = ("llama", "qwen2")


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a decoder-only transformer of the llama family."""

    architecture: str
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    hidden_size: int
    intermediate_size: int
    vocab_size: int
    context_length: int
    rope_theta: float
    norm_epsilon: float
    tied_embeddings: bool
    rope_divisors: tuple[float, ...] = ()  # of each rotary frequency; none: they are as they are

    @property
    def has_qkv_bias(self) -> bool:
        """Whether the query, key and value projections add a bias."""
        return self.architecture == "qwen2"

    @property
    def num_parameters(self) -> int:
        """Number of weights, tied embeddings counted once."""
        attention = 2 * self.hidden_size * self.head_dim * (self.num_heads + self.num_kv_heads)
        feed_forward = 3 * self.hidden_size * self.intermediate_size
        tables = self.vocab_size * self.hidden_size * (1 if self.tied_embeddings else 2)
        norms = self.hidden_size * (2 * self.num_layers + 1)
        return self.num_layers * (attention + feed_forward) + tables + norms


class Weights(Protocol):
    """The tensors of one model, read when they are asked for."""

    @property
    def config(self) -> ModelConfig:
        """The model's shape."""
        ...

    @property
    def digest(self) -> str:
        """Hex sha256 over the bytes of the model's files."""
        ...

    def dense(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32, a matrix as [outputs, inputs]."""
        ...

    def blocks(self, name: str) -> QuantizedBlocks | None:
        """Return a matrix as the file quantizes it, None where the file holds floats."""
        ...
