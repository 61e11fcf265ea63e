"""Models that are measured: one with real weights, others of a real model's shape only.

What a pass costs does not depend on the values of the weights. What a draft brings does, so with
random weights its acceptance is prescribed.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tiercel.models.blocks import QuantizedBlocks
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.models.resolve import Checkpoint, resolve
from tiercel.models.weights import ModelConfig
from tiercel.tokenizer import Tokenizer

_SPREAD = 0.02
_NUM_DRAWN = 1 << 22  # numbers drawn for each tensor, which repeat: drawing billions takes minutes


@dataclass(frozen=True)
class Case:
    """A target, and what drafts for it; no drafter is prompt lookup, judged and not prescribed."""

    target: ModelConfig | None  # None: the embedded model's own weights
    drafter: ModelConfig | None = None
    acceptance: float = 0.0
    num_speculative_tokens: int = 4

    @property
    def weights(self) -> str:
        """Say what the numbers were measured on."""
        if self.target is None:
            return "real weights, real drafts"
        return f"random weights, acceptance prescribed: {self.acceptance:g}"


def _llama(layers: int, hidden: int, heads: int, kv_heads: int, inner: int) -> ModelConfig:
    return ModelConfig(
        architecture="llama",
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=hidden // heads,
        hidden_size=hidden,
        intermediate_size=inner,
        vocab_size=128_256,
        context_length=4096,
        rope_theta=500_000.0,
        norm_epsilon=1e-5,
        tied_embeddings=True,
    )


_TINY = replace(_llama(2, 64, 4, 2, 128), vocab_size=512, context_length=1024)
_ONE_B = _llama(16, 2048, 32, 8, 8192)
_SMALL = _llama(30, 576, 9, 3, 1536)
CASES = {
    "tiny": Case(_TINY, replace(_TINY, num_layers=1), acceptance=0.7),
    "smollm2-135m": Case(None),
    "1b": Case(_ONE_B, _SMALL, acceptance=0.7),
    "8b": Case(
        replace(_llama(32, 4096, 32, 8, 14_336), tied_embeddings=False), _ONE_B, acceptance=0.8
    ),
}


class RandomWeights:
    """Weights of a shape, the same ones each time."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.digest = f"random {config}"

    def dense(self, name: str) -> NDArray[np.float32]:
        """Return the tensor called `name`; norms are ones."""
        if "norm" in name:
            return np.ones(self.config.hidden_size, np.float32)
        generator = np.random.default_rng(crc32(name.encode()))
        drawn = generator.standard_normal(_NUM_DRAWN, np.float32)
        return np.resize(_SPREAD * drawn, self._shape(name.split(".")[-2]))

    def blocks(self, name: str) -> QuantizedBlocks | None:
        """Return None: these are floats."""
        return None

    def _shape(self, part: str) -> tuple[int, int]:
        config = self.config
        hidden, inner = config.hidden_size, config.intermediate_size
        keys = config.num_kv_heads * config.head_dim
        return {
            "token_embd": (config.vocab_size, hidden),
            "output": (config.vocab_size, hidden),
            "attn_q": (hidden, hidden),
            "attn_k": (keys, hidden),
            "attn_v": (keys, hidden),
            "attn_output": (hidden, hidden),
            "ffn_gate": (inner, hidden),
            "ffn_up": (inner, hidden),
            "ffn_down": (hidden, inner),
        }[part]


def checkpoint_of(config: ModelConfig | None) -> Checkpoint:
    """Return the embedded model, or one of a shape, which has no tokenizer."""
    if config is None:
        return resolve(DEFAULT_MODEL)
    return Checkpoint("random", Path(), RandomWeights(config), _no_tokenizer)


def _no_tokenizer() -> Tokenizer:
    raise ValueError("random weights have no tokenizer")
