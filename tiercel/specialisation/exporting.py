"""Writes a specialist in the layout of Hugging Face: its base's weights with what was learned."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tiercel.errors import ModelUnavailable
from tiercel.models.gguf_weights import GgufWeights
from tiercel.models.resolve import Checkpoint
from tiercel.models.safetensors_weights import tensor_name
from tiercel.models.weights import ModelConfig
from tiercel.tokenizer import Tokenizer
from tiercel.tokenizer_files import Vocabulary, vocabulary_of_gguf
from tiercel.whole_files import write_whole

WEIGHTS_FILE, CARD_FILE = "model.safetensors", "README.md"
_ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
_NORMS = ("input_layernorm", "post_attention_layernorm")
_ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
_FEED_FORWARD = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def write_specialist(
    folder: Path, base: Checkpoint, deltas: Mapping[str, NDArray[np.float32]], card: str
) -> None:
    """Write config, tokenizer, model card and, last, the weights in float32.

    `deltas` are by stored name. Raises ModelUnavailable if the tokenizer would read otherwise than
    the base's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = base.weights.config
    settings = {"architectures": [_ARCHITECTURES[config.architecture]], **hub_settings(config)}
    _write_json(folder / "config.json", settings)
    write_tokenizer(folder, base)
    write_whole(folder / CARD_FILE, card.encode())
    tensors = {}
    for name in stored_names(config):
        values = base.weights.dense(tensor_name(name))
        tensors[name] = values + deltas[name] if name in deltas else values
    unfinished = folder / f".{WEIGHTS_FILE}.unfinished"
    save_file(tensors, unfinished, {"format": "pt"})
    unfinished.chmod(0o644)  # the library makes it private
    unfinished.replace(folder / WEIGHTS_FILE)


def write_tokenizer(folder: Path, base: Checkpoint) -> None:
    """Write the files of the base's tokenizer, and read them again to be sure."""
    if isinstance(base.weights, GgufWeights):
        _write_vocabulary(folder, vocabulary_of_gguf(base.weights.metadata))
    else:
        for name in _TOKENIZER_FILES:
            if (base.path / name).is_file():
                shutil.copyfile(base.path / name, folder / name)
    was, now = base.read_tokenizer(), Tokenizer.from_folder(folder)
    if (was.fingerprint, was.eos_ids) != (now.fingerprint, now.eos_ids):
        raise ModelUnavailable(f"the tokenizer of {base.name} cannot be written as files")


def hub_settings(config: ModelConfig) -> dict[str, Any]:
    """Return what a config.json says of the model."""
    return {
        "model_type": config.architecture,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied_embeddings,
    }


def stored_names(config: ModelConfig) -> list[str]:
    """Return the names that a model's tensors have in the layout of Hugging Face."""
    parts = [f"{part}.weight" for part in (*_NORMS, *_ATTENTION, *_FEED_FORWARD)]
    if config.has_qkv_bias:
        parts += [f"{part}.bias" for part in _ATTENTION[:3]]
    layers = range(config.num_layers)
    names = [f"model.layers.{layer}.{part}" for layer in layers for part in parts]
    ends = ["model.embed_tokens.weight", "model.norm.weight"]
    return [*names, *ends, *([] if config.tied_embeddings else ["lm_head.weight"])]


def _write_vocabulary(folder: Path, vocabulary: Vocabulary) -> None:
    vocabulary.bpe.save(str(folder / "tokenizer.json"))
    template = (
        {} if vocabulary.chat_template is None else {"chat_template": vocabulary.chat_template}
    )
    _write_json(folder / "tokenizer_config.json", {**vocabulary.template_names, **template})
    ends = {"eos_token_id": sorted(vocabulary.eos_ids)}
    _write_json(folder / "generation_config.json", ends)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")
