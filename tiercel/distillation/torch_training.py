"""Trains a drafter on lessons: cross-entropy to the target's best tokens, and its next states.

Resumable: weights, optimizer and place are one safetensors file, written every so many steps.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tiercel.distillation.drafting import NUM_PLACES, Tally
from tiercel.distillation.lessons import Lesson
from tiercel.distillation.torch_batches import Batch, Ids, batch_of, batches
from tiercel.distillation.torch_drafter import TorchDrafter
from tiercel.engines.distilled_file import DrafterShape, HeldOut
from tiercel.whole_files import write_whole

CHECKPOINT_FILE = "checkpoint.safetensors"
# Neither is learned anew: the ids' meaning is the target's.
_FROZEN = ("token_embd.weight",)
_SAVE_EVERY = 50
_WARM_UP = 30


@dataclass(frozen=True)
class Schedule:
    """How to train."""

    num_steps: int
    answers_per_step: int = 16
    learning_rate: float = 1e-3
    head_rate: float = 0.3  # share of the rate for the head, which begins as the target's
    num_unrolled: int = 2  # steps of drafting
    state_weight: float = 0.2  # of the regression on the next state
    decay: float = 0.6  # weight of each further step of drafting
    seed: int = 0

    def rate(self, step: int) -> float:
        """Return the share of the learning rate: linear warm-up, then half a cosine."""
        warm = min(1.0, (step + 1) / _WARM_UP)
        return warm * 0.5 * (1 + cos(pi * min(1.0, step / self.num_steps)))


class Training:
    """One drafter in training."""

    def __init__(
        self,
        shape: DrafterShape,
        weights: dict[str, np.ndarray],
        ids: Ids,
        schedule: Schedule,
        folder: Path,
    ) -> None:
        """Begin with `weights`, or go on where the folder's checkpoint stands."""
        self.ids, self._schedule, self._path = ids, schedule, folder / CHECKPOINT_FILE
        tensors = {
            name: torch.from_numpy(np.array(values, np.float32)) for name, values in weights.items()
        }
        for name, tensor in tensors.items():
            tensor.requires_grad_(name not in _FROZEN)
        self.drafter = TorchDrafter(shape, tensors)
        self._learned = {name: one for name, one in tensors.items() if one.requires_grad}
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [one], "share": schedule.head_rate if name == "output.weight" else 1.0}
                for name, one in self._learned.items()
            ],
            betas=(0.9, 0.95),
            weight_decay=0.01,
        )
        self.num_steps = 0
        if self._path.exists():
            self._restore()

    def run(self, lessons: Sequence[Lesson], progress: Callable[[int, float], None]) -> None:
        """Train to the end of the schedule; `progress` is told of each step and its loss."""
        places = self._places(lessons)
        while self.num_steps < self._schedule.num_steps:
            loss = self._step(batch_of(next(places), self.ids))
            self.num_steps += 1
            progress(self.num_steps, loss)
            if self.num_steps % _SAVE_EVERY == 0 or self.num_steps == self._schedule.num_steps:
                self.save()

    def weights(self) -> dict[str, np.ndarray]:
        """Return the weights by name, float32."""
        return {name: one.detach().numpy() for name, one in self.drafter.weights.items()}

    def save(self) -> None:
        """Write the checkpoint."""
        tensors = {f"weight.{name}": one.detach() for name, one in self._learned.items()}
        for name, one in self._learned.items():
            for kind, value in self._optimizer.state.get(one, {}).items():
                tensors[f"{kind}.{name}"] = value
        write_whole(self._path, save(tensors, {"step": str(self.num_steps)}))

    def _restore(self) -> None:
        with safe_open(self._path, framework="pt") as file:
            self.num_steps = int(file.metadata()["step"])
            for name, one in self._learned.items():
                one.data.copy_(file.get_tensor(f"weight.{name}"))
                self._optimizer.state[one] = {
                    kind: file.get_tensor(f"{kind}.{name}")
                    for kind in ("step", "exp_avg", "exp_avg_sq")
                }

    def _places(self, lessons: Sequence[Lesson]) -> Iterator[list[Lesson]]:
        """Yield batches for ever, from where the checkpoint stands."""
        size, seed = self._schedule.answers_per_step, self._schedule.seed
        usable = sum(len(lesson.thoughts) > 1 for lesson in lessons)
        epoch, skipped = divmod(self.num_steps, -(-usable // size))
        while True:
            yield from list(batches(lessons, size, seed + epoch))[skipped:]
            epoch, skipped = epoch + 1, 0

    def _step(self, batch: Batch) -> float:
        for group in self._optimizer.param_groups:
            share = group["share"] * self._schedule.rate(self.num_steps)
            group["lr"] = self._schedule.learning_rate * share
        loss = self._loss(batch)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self._learned.values()), 1.0)
        self._optimizer.step()
        return float(loss.detach())

    def _loss(self, batch: Batch) -> Tensor:
        schedule, hidden = self._schedule, self.drafter.shape.uses_hidden
        num_steps = schedule.num_unrolled if hidden else 1
        gain = self.drafter.weights["output_norm.weight"].detach()
        with torch.autocast("cpu", torch.bfloat16):
            states = self.drafter.states(batch.inputs, batch.hidden if hidden else None, num_steps)
            total = torch.zeros(())
            for step, state in enumerate(states):
                known = batch.known(step)
                ahead = step + 1
                reached = state[known]
                loss = _cross_entropy(
                    self.drafter.logits(reached),
                    _later(batch.choices, ahead)[known],
                    _later(batch.shares, ahead)[known],
                )
                if hidden:
                    away = (reached - _later(batch.hidden, ahead)[known]) / gain
                    loss = loss + schedule.state_weight * away.float().square().mean()
                total = total + schedule.decay**step * loss
        return total


@torch.inference_mode()
def held_out_acceptance(
    drafter: TorchDrafter, ids: Ids, lessons: Sequence[Lesson], batch_size: int = 16
) -> dict[str, HeldOut]:
    """Return how often drafts meet the target's greedy choice, by kind of task and over all.

    On greedy answers only: there the target's choices are the answer itself, so that feeding it is
    what drafting does for as long as the draft is right.
    """
    tallies: dict[str, Tally] = {}
    greedy = [one for one in lessons if not one.answer.temperature and len(one.thoughts) > 1]
    for start in range(0, len(greedy), batch_size):
        some = greedy[start : start + batch_size]
        right, known = _places(drafter, batch_of(some, ids))
        for row, lesson in enumerate(some):
            for num_right, num_known in zip(right[row], known[row], strict=True):
                for name in (lesson.kind, "all"):
                    tallies.setdefault(name, Tally()).add(int(num_right), int(num_known))
    return {name: tally.held_out() for name, tally in sorted(tallies.items())}


def _places(drafter: TorchDrafter, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return for each token how many places of its draft are right in a row, and how many known."""
    hidden = batch.hidden if drafter.shape.uses_hidden else None
    right = torch.ones(batch.inputs.shape, dtype=torch.bool)
    num_right, num_known = torch.zeros(2, *batch.inputs.shape, dtype=torch.int64)
    for step, state in enumerate(drafter.states(batch.inputs, hidden, NUM_PLACES)):
        best = drafter.logits(state).argmax(-1)
        known = batch.known(step)
        right = right & known & (best == _later(batch.choices, step + 1)[..., 0])
        num_right, num_known = num_right + right, num_known + known
    return num_right.numpy(), num_known.numpy()


def _later(rows: Tensor, steps: int) -> Tensor:
    """Return rows moved so that row i is what row i + steps was; the end is padding."""
    return torch.cat([rows[:, steps:], torch.zeros_like(rows[:, :steps])], dim=1)


def _cross_entropy(logits: Tensor, choices: Tensor, shares: Tensor) -> Tensor:
    """Return the mean cross-entropy to the target's best ids, of those that can be proposed."""
    shares = torch.where(choices < 0, 0.0, shares)
    own = logits.float().gather(-1, choices.clamp(min=0))
    total = torch.logsumexp(logits.float(), dim=-1)
    return (shares.sum(-1) * total - (shares * own).sum(-1)).mean()
