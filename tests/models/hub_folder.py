"""Writes a model out of a GGUF file as a folder in the layout of Hugging Face."""

import json
from pathlib import Path

import ml_dtypes  # noqa: F401  (teaches numpy bfloat16)
import numpy as np
from safetensors.numpy import save_file

from tests.tiny_model import SPECIALS, TEMPLATE, tiny_tensors
from tiercel.models.resolve import Checkpoint
from tiercel.models.safetensors_weights import _stored_name


def write_hub_folder(folder: Path, source: Checkpoint, dtype: type | str) -> Path:
    """Write the weights (in two files), config and tokenizer of a tiny model."""
    folder.mkdir()
    config, weights = source.weights.config, source.weights
    names = list(tiny_tensors(0, architecture=config.architecture))
    tensors = {_stored_name(name): weights.dense(name).astype(np.dtype(dtype)) for name in names}
    halves = list(tensors.items())[::2], list(tensors.items())[1::2]
    for index, half in enumerate(halves):
        save_file(dict(half), folder / f"model-{index}.safetensors")
    settings = {
        "model_type": config.architecture,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_epsilon,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    source.read_tokenizer()._bpe.save(str(folder / "tokenizer.json"))
    names_of = {"eos_token": SPECIALS[2], "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(names_of))
    return folder
