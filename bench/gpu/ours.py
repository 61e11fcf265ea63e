"""Greedy decoding of many sequences on the torch engine: plain, and with drafts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.gpu.runs import Run
from tiercel.engines.language_model import Cache, Step
from tiercel.engines.suffix import SuffixIndex
from tiercel.engines.torch import TorchModel

Prompts = Sequence[list[int]]


@dataclass
class Decoded:
    """One sequence: its tokens, all but the last of which the cache holds, and its drafts."""

    tokens: list[int]
    num_wanted: int  # tokens when it is done
    cache: Cache
    drafts: list[int] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether it has all its tokens."""
        return len(self.tokens) >= self.num_wanted


class Drafter(Protocol):
    """Fills `drafts` of sequences, and says how many of them may stand."""

    def start(self, sequences: Sequence[Decoded]) -> None:
        """Take the prompts."""
        ...

    def draft(self, sequences: Sequence[Decoded]) -> None:
        """Propose for each sequence."""
        ...

    def num_accepted(self, drafts: Sequence[int], choices: Sequence[int]) -> int:
        """Judge drafts; `choices` are the target's own tokens at their places, and one more."""
        ...

    def finish(self) -> None:
        """Forget the sequences."""
        ...


class NoDrafts:
    """Plain decoding."""

    def start(self, sequences: Sequence[Decoded]) -> None:
        """Take nothing."""

    def draft(self, sequences: Sequence[Decoded]) -> None:
        """Propose nothing."""

    def num_accepted(self, drafts: Sequence[int], choices: Sequence[int]) -> int:
        """Return 0."""
        return 0

    def finish(self) -> None:
        """Do nothing."""


class LookupDrafts:
    """What followed the last tokens earlier in the same sequence; judged by equality."""

    def __init__(self, num_tokens: int) -> None:
        self._num_tokens = num_tokens
        self._indices: dict[int, SuffixIndex] = {}

    def start(self, sequences: Sequence[Decoded]) -> None:
        """Index the prompts."""
        self._indices = {id(one): SuffixIndex() for one in sequences}

    def draft(self, sequences: Sequence[Decoded]) -> None:
        """Propose up to `num_tokens` guesses for each."""
        for one in sequences:
            index = self._indices[id(one)]
            index.append(one.tokens[len(index) :])
            while len(one.drafts) < self._num_tokens and (guess := index.guess()):
                one.drafts.append(guess.token)
                index.append([guess.token])
            index.truncate(len(one.tokens))

    def num_accepted(self, drafts: Sequence[int], choices: Sequence[int]) -> int:
        """Return how many drafts are the target's own choices."""
        agree = [draft == choice for draft, choice in zip(drafts, choices, strict=False)]
        return agree.index(False) if False in agree else len(agree)

    def finish(self) -> None:
        """Forget the indices."""
        self._indices = {}


class PrescribedDrafts:
    """A model of its own drafts, at its real cost; each draft is accepted with a set chance."""

    def __init__(self, model: TorchModel, num_tokens: int, acceptance: float) -> None:
        self._model, self._num_tokens, self._acceptance = model, num_tokens, acceptance
        self._random = np.random.default_rng(0)
        self._caches: dict[int, Cache] = {}

    def start(self, sequences: Sequence[Decoded]) -> None:
        """Feed the prompts."""
        self._caches = {id(one): self._model.open() for one in sequences}
        self._model.extend([Step(self._caches[id(one)], one.tokens[:-1], 0) for one in sequences])

    def draft(self, sequences: Sequence[Decoded]) -> None:
        """Decode `num_tokens` tokens for each."""
        caches = [self._caches[id(one)] for one in sequences]
        for cache, one in zip(caches, sequences, strict=True):
            cache.truncate(min(cache.length, len(one.tokens) - 1))
        fresh = [one.tokens[c.length :] for c, one in zip(caches, sequences, strict=True)]
        for _ in range(self._num_tokens):
            steps = [Step(c, tokens, 1) for c, tokens in zip(caches, fresh, strict=True)]
            fresh = [[int(rows[0].argmax())] for rows in self._model.extend(steps)]
            for one, tokens in zip(sequences, fresh, strict=True):
                one.drafts += tokens

    def num_accepted(self, drafts: Sequence[int], choices: Sequence[int]) -> int:
        """Return how many come before the first rejected one, drawn anew each time."""
        return int(np.cumprod(self._random.random(len(drafts)) < self._acceptance).sum())

    def finish(self) -> None:
        """Close the caches."""
        for cache in self._caches.values():
            cache.close()


class Ours:
    """The torch engine with one kind of drafts."""

    def __init__(self, model: TorchModel, drafter: Drafter) -> None:
        self._model, self._drafter = model, drafter

    def decode(self, prompts: Prompts, num_tokens: int) -> Run:
        """Decode so many tokens for each prompt, all sequences together."""
        run = Run()
        sequences = [Decoded([*p], len(p) + num_tokens, self._model.open()) for p in prompts]
        self._commit(sequences, [one.tokens for one in sequences], run)
        self._drafter.start(sequences)
        while open_ones := [one for one in sequences if not one.is_done]:
            for one in open_ones:
                one.drafts = []
            self._drafter.draft(open_ones)
            self._commit(open_ones, [[one.tokens[-1], *one.drafts] for one in open_ones], run)
        self._drafter.finish()
        for one in sequences:
            one.cache.close()
        run.num_tokens = num_tokens * len(prompts)
        return run

    def _commit(self, sequences: Sequence[Decoded], fed: Sequence[list[int]], run: Run) -> None:
        """Run one pass, and add to each sequence what may stand and one token more."""
        steps = [
            Step(one.cache, tokens, len(one.drafts) + 1)
            for one, tokens in zip(sequences, fed, strict=True)
        ]
        for one, rows in zip(sequences, self._model.extend(steps), strict=True):
            choices = _choices(rows)
            count = self._drafter.num_accepted(one.drafts, choices)
            run.judged(len(one.drafts), count)
            one.tokens += [*one.drafts[:count], choices[count]]
            one.cache.truncate(len(one.tokens) - 1)


def _choices(rows: NDArray[np.float32]) -> list[int]:
    return [int(token) for token in rows.argmax(axis=1)]
