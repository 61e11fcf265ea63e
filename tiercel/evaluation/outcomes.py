"""One cell of the outcome matrix, and the columns of numbers that many of them are stored as.

A prompt is named by its id and hash; its text and the answer's are in no file.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.evidence import Halves, halves
from tiercel.shard_folder import Columns, Shard
from tiercel.types import FinishReason

_NOTHING = halves([])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one column answered to one prompt; `scores` by metric, the main one first."""

    prompt_id: str
    prompt_hash: int
    numerics_id: str
    token_ids: tuple[int, ...]
    finish: FinishReason
    scores: dict[str, float]
    sample: int = 0
    seed: int = 0
    logprobs: Halves = field(default_factory=lambda: _NOTHING)  # of each token, in nats
    entropies: Halves = field(default_factory=lambda: _NOTHING)
    margins: Halves = field(default_factory=lambda: _NOTHING)  # between the two best
    choice_logprobs: Halves = field(default_factory=lambda: _NOTHING)  # of letters, in order
    counts: dict[str, int] = field(default_factory=dict)  # `passes.TIER`, `prompt_tokens.TIER`
    seconds: float = 0.0  # wall; never a price, as others ran beside it
    # By drafter, of each token: whether it was the drafter's choice, and how likely its choice was.
    matches: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    match_probs: Mapping[str, Halves] = field(default_factory=dict)

    @property
    def cell(self) -> tuple[str, int]:
        """What tells it from the column's other answers to the set."""
        return self.prompt_id, self.sample

    def num_matched(self, drafter: str) -> tuple[int, int]:
        """Return for how many tokens a drafter had a choice, and how often it was the token."""
        num_said = int(np.count_nonzero(self.match_probs[drafter]))
        return num_said, int(self.matches[drafter].sum())


# One number an answer, by column name: its type, and how it is read from an outcome.
_NUMBERS: dict[str, tuple[Any, Callable[[Outcome], Any]]] = {
    "prompt_hash": (np.uint64, lambda one: one.prompt_hash),
    "sample": (np.uint16, lambda one: one.sample),
    "seed": (np.uint64, lambda one: one.seed),
    "seconds": (np.float32, lambda one: one.seconds),
    "num_tokens": (np.uint32, lambda one: len(one.token_ids)),
    "num_choices": (np.uint8, lambda one: len(one.choice_logprobs)),
}
_PER_TOKEN = ("logprobs", "entropies", "margins")
_SCORE, _COUNT = "score.", "count."
# In the name of a count that only some answers have: those without it have none.
_WIDE = "@"


def columns_of(outcomes: Sequence[Outcome]) -> tuple[Columns, dict[str, str]]:
    """Return a shard's columns and the texts of its header."""
    numerics = sorted({one.numerics_id for one in outcomes})
    finishes = [reason.value for reason in FinishReason]
    columns: Columns = {
        name: np.array([read(one) for one in outcomes], kind)
        for name, (kind, read) in _NUMBERS.items()
    }
    columns["numerics"] = np.array([numerics.index(one.numerics_id) for one in outcomes], np.uint8)
    columns["finish"] = np.array([finishes.index(one.finish.value) for one in outcomes], np.uint8)
    columns["token_ids"] = _narrow([id for one in outcomes for id in one.token_ids])
    for name in (*_PER_TOKEN, "choice_logprobs"):
        columns[name] = np.concatenate([getattr(one, name) for one in outcomes])
    metrics = list(outcomes[0].scores)
    for metric in metrics:
        columns[_SCORE + metric] = np.array([one.scores[metric] for one in outcomes], np.float32)
    for name in sorted({name for one in outcomes for name in one.counts}):
        columns[_COUNT + name] = np.array([one.counts.get(name, 0) for one in outcomes], np.uint32)
    texts = {
        "prompt_ids": [one.prompt_id for one in outcomes],
        "numerics_ids": numerics,
        "finish_reasons": finishes,
        "metrics": metrics,
    }
    return columns, {name: json.dumps(value) for name, value in texts.items()}


def outcomes_of(shard: Shard) -> list[Outcome]:
    """Return the cells that a shard holds."""
    columns, texts = shard.columns, {name: json.loads(text) for name, text in shard.texts.items()}
    token_ends = np.cumsum(columns["num_tokens"], dtype=np.int64)
    choice_ends = np.cumsum(columns["num_choices"], dtype=np.int64)
    counts = [name for name in columns if name.startswith(_COUNT)]

    def row(at: int) -> Outcome:
        tokens = slice(token_ends[at] - int(columns["num_tokens"][at]), token_ends[at])
        choices = slice(choice_ends[at] - int(columns["num_choices"][at]), choice_ends[at])
        return Outcome(
            prompt_id=texts["prompt_ids"][at],
            prompt_hash=int(columns["prompt_hash"][at]),
            numerics_id=texts["numerics_ids"][int(columns["numerics"][at])],
            token_ids=tuple(columns["token_ids"][tokens].tolist()),
            finish=FinishReason(texts["finish_reasons"][int(columns["finish"][at])]),
            scores={name: float(columns[_SCORE + name][at]) for name in texts["metrics"]},
            sample=int(columns["sample"][at]),
            seed=int(columns["seed"][at]),
            logprobs=columns["logprobs"][tokens].astype(np.float16),
            entropies=columns["entropies"][tokens].astype(np.float16),
            margins=columns["margins"][tokens].astype(np.float16),
            choice_logprobs=columns["choice_logprobs"][choices].astype(np.float16),
            counts={
                name.removeprefix(_COUNT): int(columns[name][at])
                for name in counts
                if columns[name][at] or _WIDE not in name
            },
            seconds=float(columns["seconds"][at]),
        )

    return [row(at) for at in range(len(token_ends))]


def _narrow(ids: Iterable[int]) -> np.ndarray[Any, Any]:
    """Return ids in two bytes where all of them fit."""
    wide = np.array(list(ids), np.uint32)
    return wide.astype(np.uint16) if wide.max(initial=0) < 1 << 16 else wide
