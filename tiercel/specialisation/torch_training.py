"""Trains low-rank adapters on samples: cross-entropy on the answers' tokens only.

Resumable: adapters, optimizer and place are one safetensors file, written every so many steps.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tiercel.engines.torch_rank import RankSettings
from tiercel.errors import InvalidRequest
from tiercel.models.weights import Weights
from tiercel.specialisation.samples import Sample, batches
from tiercel.specialisation.torch_model import adapted, adapters_of, model_of
from tiercel.whole_files import write_whole

CHECKPOINT_FILE = "checkpoint.safetensors"
_SAVE_EVERY = 25
_WARM_UP = 20
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_IGNORED = -100  # cross_entropy's own mark


@dataclass(frozen=True)
class Course:
    """How to train; a checkpoint goes on under the very course that it began with.

    The frozen weights are held in `dtype`; raises InvalidRequest for one that there is not.
    """

    num_steps: int
    samples_per_step: int = 16
    rank: int = 16
    learning_rate: float = 1e-3
    dtype: str = "bf16"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise InvalidRequest("dtype", self.dtype, f"must be one of {', '.join(_DTYPES)}")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, then half a cosine."""
        warm = min(1.0, (step + 1) / _WARM_UP)
        return self.learning_rate * warm * 0.5 * (1 + cos(pi * step / self.num_steps))


class Training:
    """One model on its way to a specialist."""

    def __init__(
        self,
        weights: Weights,
        course: Course,
        samples: Sequence[Sample],
        folder: Path,
        device: str = "cpu",
    ) -> None:
        """Begin, or go on where the folder's checkpoint stands, on whatever device that was.

        Raises InvalidRequest for a checkpoint of another model, course or samples, and for a
        device that is not there; `auto` is CUDA where there is one, else the CPU.
        """
        self._device = RankSettings(device=device).device_of(0)
        self._course, self._samples, self._path = course, samples, folder / CHECKPOINT_FILE
        self._about = {
            "course": repr(course),
            "model": weights.digest,
            "samples": hashlib.sha256(repr(samples).encode()).hexdigest(),
        }
        self._model = adapted(
            model_of(weights, self._device),
            rank=course.rank,
            dtype=_DTYPES[course.dtype],
            seed=course.seed,
        )
        self.adapters = adapters_of(self._model)
        self._optimizer = torch.optim.AdamW(self.adapters.values(), weight_decay=0.0)
        self.num_steps = 0
        if self._path.exists():
            self._restore()

    def run(self, progress: Callable[[int, float], None]) -> None:
        """Train to the end of the course; `progress` is told of each step and its loss."""
        course = self._course
        every = batches(self._samples, course.samples_per_step, course.seed)
        for batch in islice(every, self.num_steps, course.num_steps):
            loss = self._step(batch)
            self.num_steps += 1
            progress(self.num_steps, loss)
            if self.num_steps % _SAVE_EVERY == 0 or self.num_steps == course.num_steps:
                self.save()

    def learned(self) -> dict[str, NDArray[np.float32]]:
        """Return the adapters as they stand, by the names that peft stores them under."""
        return {
            name.replace(".default.", "."): one.detach().cpu().numpy()
            for name, one in self.adapters.items()
        }

    def save(self) -> None:
        """Write the checkpoint."""
        tensors = {f"weight.{name}": one.detach() for name, one in self.adapters.items()}
        for name, one in self.adapters.items():
            for kind, value in self._optimizer.state.get(one, {}).items():
                tensors[f"{kind}.{name}"] = value
        write_whole(self._path, save(tensors, self._about | {"step": str(self.num_steps)}))

    def _restore(self) -> None:
        with safe_open(self._path, framework="pt") as file:
            about = file.metadata()
            for field, value in self._about.items():
                if about.get(field) != value:
                    raise InvalidRequest(
                        "out", str(self._path.parent), f"its {field} was {about.get(field)}"
                    )
            self.num_steps = int(about["step"])
            for name, one in self.adapters.items():
                one.data.copy_(file.get_tensor(f"weight.{name}"))
                moments = {
                    kind: file.get_tensor(f"{kind}.{name}").to(one.device)
                    for kind in ("exp_avg", "exp_avg_sq")
                }
                self._optimizer.state[one] = {"step": file.get_tensor(f"step.{name}"), **moments}

    def _step(self, batch: Sequence[Sample]) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._course.rate(self.num_steps)
        loss = answer_loss(self._model.get_base_model(), batch)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.adapters.values()), 1.0)
        self._optimizer.step()
        return float(loss.detach())


def answer_loss(model: Any, batch: Sequence[Sample]) -> Tensor:
    """Return the mean cross-entropy of the answers' tokens, given what stands before each.

    Padding follows the samples, where a causal model does not see it.
    """
    longest = max(map(len, batch))
    inputs = torch.zeros(len(batch), longest, dtype=torch.int64)
    wanted = torch.full((len(batch), longest), _IGNORED)
    for row, sample in enumerate(batch):
        ids = torch.tensor(sample.prompt_ids + sample.answer_ids)
        inputs[row, : len(ids)] = ids
        start = len(sample.prompt_ids)
        wanted[row, start - 1 : len(ids) - 1] = ids[start:]
    inputs, wanted = inputs.to(model.device), wanted.to(model.device)
    hidden = model.model(input_ids=inputs, use_cache=False).last_hidden_state
    counted = wanted != _IGNORED
    logits = model.lm_head(hidden[counted]).float()
    loss: Tensor = torch.nn.functional.cross_entropy(logits, wanted[counted])
    return loss


def use_threads(count: int) -> None:
    """Let this process compute on so many threads; 0: one for each core."""
    if count:
        torch.set_num_threads(count)
