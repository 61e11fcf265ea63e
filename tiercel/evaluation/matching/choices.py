"""What a drafter would have said at each position of an answer that is given: its own choices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.language_model import LanguageModel, Logits, Step
from tiercel.evaluation.evidence import Halves
from tiercel.types import Message

Flags = NDArray[np.bool_]

# Of a prompt, so many tokens go into one pass; of an answer fewer, for each has a row of logits.
_PROMPT_PIECE, _ANSWER_PIECE = 256, 64


@dataclass(frozen=True)
class Given:
    """An answer, and what was asked."""

    messages: Sequence[Message]
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Matches:
    """Of each of the answer's tokens: whether it is the drafter's choice after what stands before.

    `probs` is how likely the drafter held its choice, whichever it was: 0 where it made none.
    """

    flags: Flags
    probs: Halves

    @classmethod
    def of(cls, choices: Iterable[tuple[bool, float]]) -> "Matches":
        """Return what was found position by position."""
        pairs = list(choices)
        # What was said must not round to nothing.
        least = float(np.finfo(np.float16).smallest_normal)
        probs = [max(prob, least) if prob > 0 else 0.0 for _, prob in pairs]
        flags = np.array([flag for flag, _ in pairs], np.bool_)
        return cls(flags, np.array(probs, np.float16))


class Chooser(Protocol):
    """One drafter for one root."""

    def matches(self, given: Given) -> Matches:
        """Return how the drafter's choices match an answer; one too long for it has none."""
        ...


class ModelChooser:
    """A model that reads the same ids as the root."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def matches(self, given: Given) -> Matches:
        """Return the matches of one teacher-forced pass."""
        picks = forced_choices(self._model, given.prompt_ids, given.answer_ids[:-1])
        if not picks:
            return Matches.of([(False, 0.0)] * len(given.answer_ids))
        pairs = zip(picks, given.answer_ids, strict=True)
        return Matches.of((token_id == true, prob) for (token_id, prob), true in pairs)


def forced_choices(
    model: LanguageModel, prompt_ids: Sequence[int], token_ids: Sequence[int]
) -> list[tuple[int, float]]:
    """Return the best token, and its probability, behind the prompt and behind each of `token_ids`.

    None at all if the model cannot hold them.
    """
    if len(prompt_ids) + len(token_ids) > model.description.max_length:
        return []
    cache, found = model.open(), list[tuple[int, float]]()
    try:
        for start in range(0, len(prompt_ids) - 1, _PROMPT_PIECE):
            piece = prompt_ids[start : min(start + _PROMPT_PIECE, len(prompt_ids) - 1)]
            model.extend([Step(cache, piece, 0)])
        rest = [prompt_ids[-1], *token_ids]
        for start in range(0, len(rest), _ANSWER_PIECE):
            piece = rest[start : start + _ANSWER_PIECE]
            (rows,) = model.extend([Step(cache, piece, len(piece))])
            found += best_of_rows(rows)
        return found
    finally:
        cache.close()


def best_of_rows(rows: Logits) -> list[tuple[int, float]]:
    """Return each row's best token, the lowest id of equals, and its probability."""
    best = np.argmax(rows, axis=1)
    highest = rows[np.arange(len(rows)), best]
    totals = np.exp(rows - highest[:, None]).sum(axis=1, dtype=np.float64)
    return list(zip(best.tolist(), (1 / totals).tolist(), strict=True))
