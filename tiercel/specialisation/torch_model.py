"""A checkpoint as a model of the transformers library, and its low-rank adapters (peft)."""

from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from tiercel.errors import ModelUnavailable
from tiercel.models.safetensors_weights import tensor_name
from tiercel.models.weights import Weights
from tiercel.specialisation.adapters import ADAPTED, alpha_of
from tiercel.specialisation.exporting import hub_settings, stored_names

_KINDS: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}


def model_of(weights: Weights, device: torch.device | None = None) -> Any:
    """Return the model in float32; raises ModelUnavailable for scaled rotary positions."""
    device = device or torch.device("cpu")
    config = weights.config
    if config.rope_divisors:
        raise ModelUnavailable("a model with scaled rotary positions cannot be specialised")
    settings, kind = _KINDS[config.architecture]
    with torch.device("meta"):
        # On short texts plain attention is several times as fast backwards, on a CPU.
        attention = "sdpa" if device.type == "cuda" else "eager"
        model = kind(settings(**hub_settings(config), attn_implementation=attention))
    tensors = {
        name: torch.tensor(weights.dense(tensor_name(name)), device=device)
        for name in stored_names(config)
    }
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    # Its tables are in no file.
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config).to(device)
    return model


def adapted(model: Any, *, rank: int, dtype: torch.dtype, seed: int) -> PeftModel:
    """Put low-rank adapters (arXiv:2106.09685), in float32, beside every matrix of the layers."""
    torch.manual_seed(seed)
    settings = LoraConfig(
        r=rank, lora_alpha=alpha_of(rank), target_modules=list(ADAPTED), bias="none"
    )
    tables = model.model.rotary_emb
    # Angles of bfloat16 are off by a whole radian after a few hundred tokens.
    model.model.rotary_emb = None
    model.to(dtype)
    model.model.rotary_emb = tables
    return get_peft_model(model, settings)


def adapters_of(model: PeftModel) -> dict[str, Tensor]:
    """Return what is learned, by name."""
    return {name: one for name, one in model.named_parameters() if one.requires_grad}
