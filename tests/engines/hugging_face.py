"""Logits of the transformers library: a reference that shares no code with ours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers

from tiercel.engines.language_model import Logits


def reference_logits(gguf_file: Path, tokens: Sequence[int]) -> Logits:
    """Return the float32 model's logits after each token."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32, local_files_only=True
    )
    with torch.inference_mode():
        return np.asarray(model(torch.tensor([list(tokens)])).logits[0].numpy())
