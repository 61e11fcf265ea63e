"""Low-rank adapters as files, in peft's layout, and what they add to a model's matrices."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tiercel.errors import InvalidRequest
from tiercel.models.resolve import Checkpoint
from tiercel.models.weights import ModelConfig
from tiercel.whole_files import write_whole

ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The matrices of a layer that have adapters beside them."""
WEIGHTS_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"
_WRAPPED = "base_model.model."  # peft's name for what it wraps
_BASE = "base_sha256"
# Of peft's settings, those under which what is added is another sum.
_OTHER_SUMS = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "modules_to_save")


def alpha_of(rank: int) -> int:
    """Return the numerator of the scale, whose denominator is the rank."""
    return 2 * rank


def write_adapters(
    folder: Path, base: Checkpoint, tensors: Mapping[str, NDArray[np.float32]], rank: int
) -> None:
    """Write adapters, by peft's names for them, in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "r": rank,
        "lora_alpha": alpha_of(rank),
        "target_modules": list(ADAPTED),
        "bias": "none",
    }
    write_whole(folder / CONFIG_FILE, json.dumps(settings, indent=2).encode() + b"\n")
    halves = {name: one.astype(np.float16) for name, one in tensors.items()}
    about = {"format": "pt", _BASE: base.weights.digest}
    write_whole(folder / WEIGHTS_FILE, save(halves, about))


def read_deltas(folder: Path, base: Checkpoint) -> dict[str, NDArray[np.float32]]:
    """Return what adapters add to each matrix, scale x B A (arXiv:2106.09685), by its stored name.

    Sums are in float64, which holds those of float16 exactly, so that the same files give the same
    model everywhere. Raises InvalidRequest for adapters of another base or of another kind.
    """
    try:
        settings = json.loads((folder / CONFIG_FILE).read_bytes())
        with safe_open(folder / WEIGHTS_FILE, framework="numpy") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise InvalidRequest("adapters", str(folder), str(error)) from None
    if about.get(_BASE, base.weights.digest) != base.weights.digest:
        raise InvalidRequest("adapters", str(folder), f"were learned beside {about[_BASE]}")
    if others := [name for name in _OTHER_SUMS if settings.get(name)]:
        raise InvalidRequest("adapters", str(folder), f"have {others[0]}")
    return _deltas(folder, base, settings, tensors)


def _deltas(
    folder: Path, base: Checkpoint, settings: Mapping[str, Any], tensors: dict[str, NDArray[Any]]
) -> dict[str, NDArray[np.float32]]:
    deltas = {}
    for name, shape in _shapes(base.weights.config).items():
        down, up = (tensors.pop(f"{_WRAPPED}{name}.lora_{side}.weight", None) for side in "AB")
        if down is None or up is None:
            continue
        if (up.shape, down.shape) != ((shape[0], len(down)), (len(down), shape[1])):
            raise InvalidRequest("adapters", str(folder), f"do not fit {name} of {base.name}")
        scale = settings["lora_alpha"] / len(down)
        added = scale * (up.astype(np.float64) @ down.astype(np.float64))
        deltas[f"{name}.weight"] = added.astype(np.float32)
    if tensors or not deltas:
        odd = next(iter(tensors), "nothing")
        raise InvalidRequest("adapters", str(folder), f"hold {odd}, which is not merged")
    return deltas


def _shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """Return [outputs, inputs] of every matrix that may have adapters."""
    hidden, inner = config.hidden_size, config.intermediate_size
    queries, keys = (heads * config.head_dim for heads in (config.num_heads, config.num_kv_heads))
    of_layer = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    layers = range(config.num_layers)
    return {f"model.layers.{at}.{part}": one for at in layers for part, one in of_layer.items()}
