"""A whole training: lessons in, the best drafter of the run out, as a folder to serve from."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save

from tiercel.distillation.beginning import first_weights, shape_of
from tiercel.distillation.drafting import measured
from tiercel.distillation.exporting import describe_drafter, write_drafter
from tiercel.distillation.lessons import Lesson
from tiercel.distillation.torch_batches import Ids, frequent_ids
from tiercel.distillation.torch_training import Schedule, Training, held_out_acceptance
from tiercel.engines.distilled import DistilledModel
from tiercel.engines.distilled_file import DrafterManifest, HeldOut
from tiercel.errors import InvalidRequest
from tiercel.models.resolve import Checkpoint
from tiercel.whole_files import write_whole

DRAFTER_FOLDER = "drafter"
_BEGIN_FILE, _BEST_FILE = "begin.safetensors", "best.safetensors"
# 8-bit blocks may cost this share of the tokens that a draft brings.
_TOLERANCE = 0.02


@dataclass(frozen=True)
class Wanted:
    """What is to be trained, and how it is judged on the way."""

    num_inputs: int = 12_288
    num_outputs: int = 8_192
    uses_hidden: bool = True
    judge_every: int = 100  # steps
    most_held_out: int = 200  # answers, while training


class Run:
    """One training in one folder, over any number of sittings."""

    def __init__(
        self,
        folder: Path,
        target: Checkpoint,
        lessons: Iterable[Lesson],
        wanted: Wanted,
        schedule: Schedule,
    ) -> None:
        """Begin, or go on; raises InvalidRequest without lessons to train on and to hold out."""
        every = list(lessons)
        self._folder, self._target, self._wanted = folder, target, wanted
        self._tokenizer = target.read_tokenizer()
        self._held_out = [one for one in every if one.is_held_out]
        self._lessons = [one for one in every if not one.is_held_out]
        if not self._lessons or not self._held_out:
            raise InvalidRequest("recording", len(every), "too few answers to train on")
        folder.mkdir(parents=True, exist_ok=True)
        ids, weights = self._beginning()
        shape = shape_of(
            target.weights.config,
            num_inputs=len(ids.ranked),
            num_outputs=ids.num_outputs,
            uses_hidden=wanted.uses_hidden,
        )
        self._training = Training(shape, weights, ids, schedule, folder)
        self._best = self._brought()

    @property
    def num_steps(self) -> int:
        """Steps that are done."""
        return self._training.num_steps

    def train(self, progress: Callable[[int, float, float], None]) -> None:
        """Train to the end; `progress` gets step, loss, and the tokens that the best drafts bring.

        The weights that bring most on held-out prompts are kept, those of the beginning too.
        """
        if self._best is None:
            self._judge()

        def after(step: int, loss: float) -> None:
            if step % self._wanted.judge_every == 0:
                self._judge()
            progress(step, loss, self._best or 0.0)

        self._training.run(self._lessons, after)
        self._judge()

    def export(self, command: str) -> DrafterManifest:
        """Write the best drafter to serve from; `command` made it. Return its manifest.

        In 8-bit blocks if those bring as many tokens, else in float32.
        """
        plain, small = (self._exported(dtype, command) for dtype in ("fp32", "int8"))
        if brought(small.held_out["all"]) >= (1 - _TOLERANCE) * brought(plain.held_out["all"]):
            return small
        return self._exported("fp32", command)

    def _beginning(self) -> tuple[Ids, dict[str, NDArray[np.float32]]]:
        """Return the ids and weights that the run began with, made in its first sitting."""
        path, vocab_size = self._folder / _BEGIN_FILE, self._target.weights.config.vocab_size
        if not path.exists():
            write_whole(path, save(self._first(vocab_size)))
        tensors = load_file(path)
        ranked = tensors.pop("ids")
        ids = Ids(ranked, vocab_size, min(self._wanted.num_outputs, len(ranked)))
        if len(ranked) != min(self._wanted.num_inputs, vocab_size):
            raise InvalidRequest("inputs", self._wanted.num_inputs, f"{path} has {len(ranked)}")
        if ("fc.weight" in tensors) != self._wanted.uses_hidden:
            raise InvalidRequest("out", str(self._folder), "holds a drafter of the other kind")
        return ids, tensors

    def _first(self, vocab_size: int) -> dict[str, NDArray[np.generic]]:
        wanted = self._wanted
        ids = frequent_ids(
            self._lessons,
            vocab_size,
            num_inputs=wanted.num_inputs,
            num_outputs=wanted.num_outputs,
        )
        shape = shape_of(
            self._target.weights.config,
            num_inputs=len(ids.ranked),
            num_outputs=ids.num_outputs,
            uses_hidden=wanted.uses_hidden,
        )
        first = first_weights(self._target.weights, shape, ids.ranked, self._lessons)
        return {**first, "ids": ids.ranked}

    def _judge(self) -> None:
        """Keep the weights as they are now if they bring more than those kept."""
        some = self._held_out[: self._wanted.most_held_out]
        figures = held_out_acceptance(self._training.drafter, self._training.ids, some)
        bring = brought(figures["all"]) if figures else 0.0
        if self._best is None or bring > self._best:
            self._best = bring
            columns = {name: np.array(one) for name, one in self._training.weights().items()}
            write_whole(self._folder / _BEST_FILE, save(columns, {"brought": str(bring)}))

    def _brought(self) -> float | None:
        path = self._folder / _BEST_FILE
        if not path.exists():
            return None
        with safe_open(path, framework="numpy") as file:
            return float(file.metadata()["brought"])

    def _exported(self, dtype: str, command: str) -> DrafterManifest:
        folder, training = self._folder / DRAFTER_FOLDER, self._training
        manifest = DrafterManifest(
            target=self._target.name,
            target_digest=self._target.weights.digest,
            tokenizer_fingerprint=self._tokenizer.fingerprint,
            vocab_size=training.ids.vocab_size,
            dtype=dtype,
            shape=training.drafter.shape,
            num_train_tokens=sum(len(one.thoughts) for one in self._lessons),
            num_train_steps=self.num_steps,
            token_s=0.0,
            held_out={},
        )
        tensors = load_file(self._folder / _BEST_FILE)
        write_drafter(folder, manifest, tensors, training.ids.ranked, self._tokenizer)
        found = measured(DistilledModel(str(folder)), self._held_out)
        manifest = manifest.model_copy(
            update={"held_out": found.by_kind, "token_s": round(found.token_s, 6)}
        )
        answers = Counter(lesson.answer.data_set for lesson in self._lessons)
        describe_drafter(folder, manifest, answers, command)
        return manifest


def use_threads(count: int) -> None:
    """Let this process compute on so many threads; 0: one for each core."""
    if count:
        torch.set_num_threads(count)


def brought(figures: HeldOut) -> float:
    """Return how many tokens a draft brings on average, beside the target's own."""
    return float(np.cumprod(figures.acceptance).sum())
