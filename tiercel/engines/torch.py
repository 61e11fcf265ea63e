"""A language model on PyTorch through the transformers library, on CPU or CUDA."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from tiercel.engines.bit_exactness import is_bit_exact
from tiercel.engines.checks import capped_length, check_logits, check_prefix, check_steps
from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.engines.numerics import numerics_id
from tiercel.errors import InvalidRequest, ModelUnavailable
from tiercel.models.resolve import Checkpoint
from tiercel.types import ModelDescription

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchCache:
    """The keys and values of one sequence, in the library's own cache."""

    def __init__(self) -> None:
        """Start empty."""
        self.past: Any = transformers.DynamicCache()

    @property
    def length(self) -> int:
        """Number of tokens that the cache holds."""
        return int(self.past.get_seq_length())

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on; `length` is at most the present one."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate a cache of {self.length} tokens to {length}")
        if length == 0:
            self.past = transformers.DynamicCache()
        elif length < self.length:
            self.past.crop(length - self.length)  # negative: how many to drop

    def close(self) -> None:
        """Give the memory back; a closed cache may not be used again."""
        self.past = None


class TorchModel:
    """A causal language model of the transformers library."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        dtype: str = "fp32",
        device: str = "auto",
        threads: int = 0,
        max_length: int | None = None,
    ) -> None:
        """Load the model; `auto` is CUDA where there is one, else the CPU."""
        self._device = _device(device)
        if threads:
            torch.set_num_threads(threads)
        self._model = _loaded(checkpoint, _torch_dtype(dtype)).to(self._device).eval()
        self._vocab_size = int(self._model.config.vocab_size)
        possible = int(self._model.config.max_position_embeddings)
        held = capped_length(possible, max_length)
        self._max_length = possible  # the probe may need more than the cap
        bit_exact = self._find_exact_padding()
        self._max_length = held
        self._description = ModelDescription(
            name=checkpoint.name,
            engine="torch",
            dtype=dtype,
            vocab_size=self._vocab_size,
            max_length=self._max_length,
            numerics_id=self._numerics_id(checkpoint.weights.digest, dtype),
            bit_exact=bit_exact,
            num_parameters=int(self._model.num_parameters()),
            weights_digest=checkpoint.weights.digest,
            copies_prefixes=True,
        )

    @property
    def description(self) -> ModelDescription:
        """What this model is."""
        return self._description

    @torch.inference_mode()
    def open(self, prefix: Cache | None = None, length: int = 0) -> TorchCache:
        """Return a new cache that starts as a copy of the first `length` tokens of `prefix`."""
        cache = TorchCache()
        if prefix is not None:
            source = _own(prefix)
            check_prefix(source.length, length)
            cache.past = copy.deepcopy(source.past)
            cache.truncate(length)
        return cache

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        """Append each step's tokens to its cache, one step after the other."""
        check_steps(steps, vocab_size=self._vocab_size, max_length=self._max_length)
        return [self._extend_one(step) for step in steps]

    def close(self) -> None:
        """Give back the weights."""
        del self._model

    def _find_exact_padding(self) -> bool:
        """Return whether the bits do not depend on the width, at best with lone tokens padded.

        Where padding does not help either, it is left off.
        """
        for self._pads in (False, True):
            if is_bit_exact(self, self._vocab_size):
                return True
        self._pads = False
        return False

    @torch.inference_mode()
    def _extend_one(self, step: Step) -> Logits:
        cache = _own(step.cache)
        before, count = cache.length, len(step.tokens)
        ids = list(step.tokens)
        num_padding = 1 if count == 1 and self._pads else 0
        outputs = self._model(
            input_ids=torch.tensor([ids + ids[:num_padding]], device=self._device),
            past_key_values=cache.past,
            use_cache=True,
            logits_to_keep=max(step.num_logits, 1) + num_padding,
        )
        cache.truncate(before + count)
        rows = outputs.logits[0, : outputs.logits.shape[1] - num_padding]
        kept = rows[len(rows) - step.num_logits :]
        logits = np.ascontiguousarray(kept.float().cpu().numpy())
        try:
            check_logits(logits)
        except Exception:
            cache.truncate(before)
            raise
        return logits

    def _numerics_id(self, digest: str, dtype: str) -> str:
        on_gpu = self._device.type == "cuda"
        return numerics_id(
            digest,
            dtype,
            f"torch {torch.__version__}",
            f"transformers {transformers.__version__}",
            f"pads {self._pads}",
            torch.cuda.get_device_name(self._device) if on_gpu else "cpu",
            "" if on_gpu else f"threads {torch.get_num_threads()}",
        )


def _own(cache: Cache) -> TorchCache:
    if not isinstance(cache, TorchCache) or cache.past is None:
        raise ValueError("this cache is closed or of another engine")
    return cache


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidRequest("device", name, "no CUDA device is available")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise InvalidRequest("device", name, "is no device that torch knows") from error


def _torch_dtype(dtype: str) -> torch.dtype:
    if dtype not in _DTYPES:
        raise InvalidRequest("dtype", dtype, f"the torch engine knows {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def _loaded(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    folder, options = checkpoint.path, {}
    if checkpoint.path.is_file():
        folder, options = checkpoint.path.parent, {"gguf_file": checkpoint.path.name}
    try:
        return _from_pretrained(folder, dtype, **options)
    except (OSError, ValueError, ImportError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelUnavailable(f"torch cannot load {checkpoint.path}: {reason}") from error


def _from_pretrained(folder: Path, dtype: torch.dtype, **options: str) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, local_files_only=True, **options
    )
