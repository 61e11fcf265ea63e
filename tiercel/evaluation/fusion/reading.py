"""Many sequences on several models, those that wait for the same model in one pass.

What a sequence does is a generator: it yields the passes that it needs and is sent their logits.
"""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tiercel.engines.language_model import LanguageModel, Logits, Step

Key = TypeVar("Key")
Result = TypeVar("Result")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Pass:
    """One sequence's part of a pass that it waits for, and whom it says how long that took."""

    reader: "Reader"
    step: Step


Reading = Generator[Pass, Logits, Value]


class Reader:
    """What one model knows of one sequence."""

    def __init__(self, model: LanguageModel) -> None:
        """Begin with nothing read."""
        self.model = model
        self._cache = model.open()
        self.num_passes = 0
        self.seconds = 0.0  # its share, by rows, of the passes

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return self._cache.length

    def read(self, sequence: Sequence[int], num_logits: int = 1) -> Reading[Logits]:
        """Read on to the end of `sequence`; return the rows that follow its last tokens.

        What was read of it before must still stand at its beginning.
        """
        self.num_passes += 1
        return (yield Pass(self, Step(self._cache, sequence[self._cache.length :], num_logits)))

    def cut(self, length: int) -> None:
        """Forget what was read from position `length` on."""
        self._cache.truncate(min(length, self._cache.length))

    def close(self) -> None:
        """Give the cache back."""
        self._cache.close()


@dataclass(eq=False)
class _Slot(Generic[Key, Result]):
    """One sequence that waits for a pass."""

    key: Key
    work: Reading[Result]
    waits_for: Pass


def run(works: Iterable[tuple[Key, Reading[Result]]], batch: int) -> Iterator[tuple[Key, Result]]:
    """Yield what the works return, as they end; up to `batch` of them are open at a time."""
    coming, slots = iter(works), list[_Slot[Key, Result]]()
    try:
        while True:
            while len(slots) < batch and (pair := next(coming, None)):
                slots.append(_Slot(*pair, next(pair[1])))
            if not slots:
                return
            ended = _round(slots)
            slots = [slot for slot in slots if all(slot is not one for one, _ in ended)]
            for slot, result in ended:
                yield slot.key, result
    finally:
        for slot in slots:
            slot.work.close()


def _round(slots: Sequence[_Slot[Key, Result]]) -> list[tuple[_Slot[Key, Result], Result]]:
    """Run a pass of the model that most wait for; return what ended, with its results."""
    ended = []
    waiting = [slot.waits_for.reader.model for slot in slots]
    model = max(waiting, key=waiting.count)
    some = [slot for slot in slots if slot.waits_for.reader.model is model]
    for slot, logits in zip(some, _extended(model, some), strict=True):
        try:
            slot.waits_for = slot.work.send(logits)
        except StopIteration as stop:
            ended.append((slot, stop.value))
    return ended


def _extended(model: LanguageModel, slots: Sequence[_Slot[Key, Result]]) -> list[Logits]:
    steps = [slot.waits_for.step for slot in slots]
    began = time.perf_counter()
    rows = model.extend(steps)
    per_row = (time.perf_counter() - began) / sum(len(step.tokens) for step in steps)
    for slot, step in zip(slots, steps, strict=True):
        slot.waits_for.reader.seconds += per_row * len(step.tokens)
    return rows
