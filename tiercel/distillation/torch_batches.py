"""Lessons as tensors: batches of answers of like length, ids as rows of the drafter's tables."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tiercel.distillation.lessons import Lesson


@dataclass(frozen=True)
class Ids:
    """Which ids a drafter knows: `ranked` by how often they occur, the first ones proposable."""

    ranked: NDArray[np.uint32]
    vocab_size: int
    num_outputs: int

    def rows(self) -> NDArray[np.int64]:
        """Return each id's row in the embedding table; ids without one share the last row."""
        rows = np.full(self.vocab_size, len(self.ranked), np.int64)
        rows[self.ranked] = np.arange(len(self.ranked))
        return rows


def frequent_ids(
    lessons: Iterable[Lesson], vocab_size: int, *, num_inputs: int, num_outputs: int
) -> Ids:
    """Return the ids that occur most often in the lessons, then the lowest ones."""
    counts: Counter[int] = Counter()
    for lesson in lessons:
        counts.update(lesson.answer.token_ids)
    ranked = sorted(range(vocab_size), key=lambda id: (-counts[id], id))[:num_inputs]
    return Ids(np.array(ranked, np.uint32), vocab_size, min(num_outputs, len(ranked)))


@dataclass(frozen=True)
class Batch:
    """Some answers, padded on the right; -1 stands for an id that cannot be proposed."""

    inputs: Tensor  # int64 [answers, tokens], rows of the embedding table
    hidden: Tensor  # float32 [answers, tokens, hidden_size]
    lengths: Tensor  # int64 [answers]
    choices: Tensor  # int64 [answers, tokens, 8], the target's best ids as outputs
    shares: Tensor  # float32 [answers, tokens, 8], their probabilities

    def known(self, step: int) -> Tensor:
        """Return which rows of a step stand for a state that is in the lesson: bool [a, t]."""
        return torch.arange(self.inputs.shape[1]) + step + 1 < self.lengths[:, None]


def batch_of(lessons: Sequence[Lesson], ids: Ids) -> Batch:
    """Return lessons as tensors."""
    lengths = [len(lesson.thoughts) for lesson in lessons]
    rows = ids.rows()
    outputs = np.where(rows < ids.num_outputs, rows, -1)
    known = [lesson.thoughts for lesson in lessons]
    tokens = [rows[np.array(lesson.answer.token_ids)] for lesson in lessons]
    choices = [outputs[one.top_ids.astype(np.int64)] for one in known]
    return Batch(
        inputs=_padded(tokens),
        hidden=_padded([one.hidden.astype(np.float32) for one in known]),
        lengths=torch.tensor(lengths),
        choices=_padded(choices),
        shares=_padded([one.top_probs.astype(np.float32) for one in known]),
    )


def batches(lessons: Sequence[Lesson], size: int, seed: int) -> Iterator[list[Lesson]]:
    """Yield all lessons in batches of `size`, like lengths together, in an order of the seed."""
    order = Random(seed)
    usable = [lesson for lesson in lessons if len(lesson.thoughts) > 1]
    by_length = sorted(usable, key=lambda lesson: (len(lesson.thoughts) // 16, order.random()))
    groups = [by_length[start : start + size] for start in range(0, len(by_length), size)]
    yield from order.sample(groups, len(groups))


def _padded(rows: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True)
