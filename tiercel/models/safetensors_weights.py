"""Weights out of a folder in the layout of Hugging Face: config.json and *.safetensors."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (teaches numpy bfloat16, in which most models are stored)
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from tiercel.errors import ModelUnavailable
from tiercel.models.blocks import QuantizedBlocks
from tiercel.models.rope import llama3_divisors
from tiercel.models.weights import SUPPORTED_ARCHITECTURES, ModelConfig

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class SafetensorsWeights:
    """The tensors of the safetensors files of one folder."""

    def __init__(self, folder: Path) -> None:
        """Read the headers of the folder's files."""
        self._folder = folder
        self._files = sorted(folder.glob("*.safetensors"))
        self._file_of: dict[str, Path] = {}
        for path in self._files:
            try:
                with safe_open(path, framework="numpy") as file:
                    self._file_of |= dict.fromkeys(file.keys(), path)
            except SafetensorError as error:
                raise ModelUnavailable(f"{path} is not a readable safetensors file") from error

    @cached_property
    def digest(self) -> str:
        """Hex sha256 over config.json and the files, in order."""
        whole = hashlib.sha256()
        for path in (self._folder / "config.json", *self._files):
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        return whole.hexdigest()

    def dense(self, name: str) -> NDArray[np.float32]:
        """Return a tensor in float32; raises ModelUnavailable if no file has it."""
        stored_name = _stored_name(name)
        if stored_name not in self._file_of:
            raise ModelUnavailable(f"{self._folder}: no tensor {stored_name}")
        with safe_open(self._file_of[stored_name], framework="numpy") as file:
            return np.asarray(file.get_tensor(stored_name), np.float32)

    def blocks(self, name: str) -> QuantizedBlocks | None:
        """Return None: these files hold floats."""
        return None

    @cached_property
    def config(self) -> ModelConfig:
        """The model's shape; raises ModelUnavailable for one that is not supported."""
        path = self._folder / "config.json"
        try:
            settings = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ModelUnavailable(f"{path} cannot be read: {error}") from error
        self._refuse_unsupported(settings)
        try:
            return self._llama_config(settings)
        except KeyError as error:
            raise ModelUnavailable(f"{path} does not say {error}") from error

    def _refuse_unsupported(self, settings: dict[str, Any]) -> None:
        architecture = settings.get("model_type")
        if architecture not in SUPPORTED_ARCHITECTURES:
            raise ModelUnavailable(
                f"{self._folder}: architecture {architecture!r} is not supported"
            )
        kind = _rope_kind(settings)
        extras = ("attention_bias", "mlp_bias") if architecture == "llama" else ()
        unsupported = [name for name in extras if settings.get(name)]
        if kind not in ("default", "llama3"):
            unsupported.append(f"rope type {kind}")
        if settings.get("use_sliding_window"):
            unsupported.append("use_sliding_window")
        if unsupported:
            raise ModelUnavailable(f"{self._folder}: {', '.join(unsupported)} is not supported")

    def _llama_config(self, settings: dict[str, Any]) -> ModelConfig:
        heads, hidden = settings["num_attention_heads"], settings["hidden_size"]
        rope = settings.get("rope_parameters") or settings
        head_dim, theta = settings.get("head_dim") or hidden // heads, rope.get("rope_theta", 1e4)
        divisors: tuple[float, ...] = ()
        if _rope_kind(settings) == "llama3":
            divisors = llama3_divisors(_rope_scaling(settings), theta, head_dim)
        return ModelConfig(
            architecture=settings["model_type"],
            num_layers=settings["num_hidden_layers"],
            num_heads=heads,
            num_kv_heads=settings.get("num_key_value_heads", heads),
            head_dim=head_dim,
            hidden_size=hidden,
            intermediate_size=settings["intermediate_size"],
            vocab_size=settings["vocab_size"],
            context_length=settings["max_position_embeddings"],
            rope_theta=theta,
            norm_epsilon=settings["rms_norm_eps"],
            tied_embeddings="lm_head.weight" not in self._file_of,
            rope_divisors=divisors,
        )


def _rope_scaling(settings: dict[str, Any]) -> dict[str, Any]:
    return settings.get("rope_scaling") or settings.get("rope_parameters") or {}


def _rope_kind(settings: dict[str, Any]) -> str:
    scaling = _rope_scaling(settings)
    return str(scaling.get("rope_type", scaling.get("type", "default")))


def _stored_name(name: str) -> str:
    """Return the Hugging Face name of a tensor, `blk.0.attn_q.weight` for instance."""
    *path, part, kind = name.split(".")
    layer = f"model.layers.{path[1]}." if path else ""
    return f"{layer}{_NAMES[part]}.{kind}"


def tensor_name(stored_name: str) -> str:
    """Return the name that `Weights` gives a tensor of this Hugging Face name."""
    parts = {stored: part for part, stored in _NAMES.items()}
    *path, kind = stored_name.split(".")
    if path[:2] == ["model", "layers"]:
        return f"blk.{path[2]}.{parts['.'.join(path[3:])]}.{kind}"
    return f"{parts['.'.join(path)]}.{kind}"
