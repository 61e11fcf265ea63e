"""An untrained distilled drafter for a tiny model: what it says depends on all it is given."""

from pathlib import Path

import numpy as np

from tiercel.distillation.beginning import first_weights, shape_of
from tiercel.distillation.exporting import write_drafter
from tiercel.engines.distilled_file import DrafterManifest
from tiercel.models.resolve import resolve


def distilled(folder: Path, model: Path, *, uses_hidden: bool, digest: str = "") -> Path:
    """Write a drafter for the model in a file into a folder, and return that.

    `digest` is that of the target's weights, if not the model's own.
    """
    checkpoint = resolve(str(model))
    ids, tokenizer = np.arange(200, dtype=np.uint32), checkpoint.read_tokenizer()
    config = checkpoint.weights.config
    shape = shape_of(config, num_inputs=200, num_outputs=128, uses_hidden=uses_hidden)
    tensors = first_weights(checkpoint.weights, shape, ids, [])
    for name, values in tensors.items():
        noise = np.random.default_rng(len(name)).normal(scale=0.2, size=values.shape)
        if "norm" not in name:
            tensors[name] = values + noise.astype(np.float32)
    manifest = DrafterManifest(
        target="tiny",
        target_digest=digest or checkpoint.weights.digest,
        tokenizer_fingerprint=tokenizer.fingerprint,
        vocab_size=tokenizer.vocab_size,
        dtype="fp32",
        shape=shape,
        num_train_tokens=0,
        num_train_steps=0,
        token_s=0.0,
        held_out={},
    )
    write_drafter(folder, manifest, tensors, ids, tokenizer)
    return folder
