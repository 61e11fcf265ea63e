"""The files of lessons: what a target knew before each token, for each shard of a recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from tiercel.engines.language_model import Logits
from tiercel.whole_files import write_whole

TOP = 8


@dataclass(frozen=True)
class Thoughts:
    """What a target knew before each of some tokens."""

    hidden: NDArray[np.float16]  # shape [tokens, hidden_size], normed: the head's input
    top_ids: NDArray[np.uint32]  # shape [tokens, 8], the likeliest first
    top_probs: NDArray[np.float16]  # shape [tokens, 8]

    def __len__(self) -> int:
        return len(self.hidden)

    def part(self, start: int, end: int) -> "Thoughts":
        """Return those of the tokens in [start, end)."""
        return Thoughts(self.hidden[start:end], self.top_ids[start:end], self.top_probs[start:end])


def thoughts(hidden: NDArray[np.float32], logits: Logits) -> Thoughts:
    """Return what rows of a pass say."""
    unsorted = np.argpartition(-logits, TOP, axis=1)[:, :TOP]
    order = np.argsort(-np.take_along_axis(logits, unsorted, 1), axis=1, kind="stable")
    ids = np.take_along_axis(unsorted, order, 1)
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    probs = np.exp(np.take_along_axis(shifted, ids, 1)) / total
    return Thoughts(hidden.astype(np.float16), ids.astype(np.uint32), probs.astype(np.float16))


def joined(parts: Sequence[Thoughts]) -> Thoughts:
    """Return all parts as one."""
    return Thoughts(
        np.concatenate([part.hidden for part in parts]),
        np.concatenate([part.top_ids for part in parts]),
        np.concatenate([part.top_probs for part in parts]),
    )


def lessons_file(recording: Path, numerics_id: str, shard: str) -> Path:
    """Return where the lessons of a shard are kept; they can be made again from the recording."""
    return recording / f"lessons-{numerics_id}" / shard


def write_lessons(path: Path, known: Thoughts) -> None:
    """Write the lessons of one shard, the tokens of its answers one after the other."""
    path.parent.mkdir(exist_ok=True)
    columns: dict[str, NDArray[np.generic]] = {
        "hidden": known.hidden,
        "top_ids": known.top_ids,
        "top_probs": known.top_probs,
    }
    write_whole(path, save(columns))


def read_lessons(path: Path) -> Thoughts:
    """Return the lessons of one shard."""
    return Thoughts(**load_file(path))
