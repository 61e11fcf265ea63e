"""A checkpoint as a model of the transformers library, and its low-rank adapters (peft)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from tiercel.errors import ModelUnavailable
from tiercel.models.safetensors_weights import tensor_name
from tiercel.models.weights import Weights
from tiercel.specialisation.exporting import hub_settings, stored_names

_KINDS: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}
_ADAPTED = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_WRAPPED = "base_model.model."  # peft's name for what it wraps


def model_of(weights: Weights) -> Any:
    """Return the model in float32; raises ModelUnavailable for scaled rotary positions."""
    config = weights.config
    if config.rope_divisors:
        raise ModelUnavailable("a model with scaled rotary positions cannot be specialised")
    settings, kind = _KINDS[config.architecture]
    with torch.device("meta"):
        # On short texts plain attention is several times as fast backwards, on a CPU.
        model = kind(settings(**hub_settings(config), attn_implementation="eager"))
    tensors = {
        name: torch.from_numpy(weights.dense(tensor_name(name)).copy())
        for name in stored_names(config)
    }
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    # Its tables are in no file.
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    return model


def adapted(model: Any, *, rank: int, dtype: torch.dtype, seed: int) -> PeftModel:
    """Put low-rank adapters (arXiv:2106.09685), in float32, beside every matrix of the layers."""
    torch.manual_seed(seed)
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=_ADAPTED, bias="none")
    return get_peft_model(model.to(dtype), settings)


def adapters_of(model: PeftModel) -> dict[str, Tensor]:
    """Return what is learned, by name."""
    return {name: one for name, one in model.named_parameters() if one.requires_grad}


def deltas_of(model: PeftModel) -> dict[str, NDArray[np.float32]]:
    """Return what the adapters add to each matrix, scale x B A, by its stored name."""
    return {
        name.removeprefix(_WRAPPED) + ".weight": module.get_delta_weight("default").detach().numpy()
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
