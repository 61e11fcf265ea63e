"""Drafts with an exported drafter over recorded answers: its true acceptance, and its speed."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tiercel.distillation.lessons import Lesson
from tiercel.engines.distilled import DistilledModel
from tiercel.engines.distilled_file import HeldOut

NUM_PLACES = 4  # of a draft, that are measured


@dataclass
class Tally:
    """How many drafts got to each place, and how many were right there."""

    asked: list[int] = field(default_factory=lambda: [0] * NUM_PLACES)
    right: list[int] = field(default_factory=lambda: [0] * NUM_PLACES)

    def add(self, num_right: int, num_asked: int) -> None:
        """Count a draft that was right at its first `num_right` of `num_asked` places."""
        for place in range(min(num_right + 1, num_asked)):
            self.asked[place] += 1
            self.right[place] += place < num_right

    def held_out(self) -> HeldOut:
        """Return the figures."""
        rates = [right / max(1, asked) for right, asked in zip(self.right, self.asked, strict=True)]
        return HeldOut(num_tokens=self.asked[0], acceptance=tuple(round(rate, 4) for rate in rates))


@dataclass(frozen=True)
class Measured:
    """What a drafter does: held-out figures by kind of task and over all, seconds for a token."""

    by_kind: dict[str, HeldOut]
    token_s: float  # median


def measured(model: DistilledModel, lessons: Iterable[Lesson]) -> Measured:
    """Draft after every token of the greedy answers; a draft is right up to its first mistake."""
    tallies: dict[str, Tally] = {}
    seconds: list[float] = []
    for lesson in lessons:
        if lesson.answer.temperature or len(lesson.thoughts) < 2:
            continue
        for num_right, num_asked in _drafts(model, lesson, seconds):
            for name in (lesson.kind, "all"):
                tallies.setdefault(name, Tally()).add(num_right, num_asked)
    by_kind = {name: tally.held_out() for name, tally in sorted(tallies.items())}
    return Measured(by_kind, float(np.median(seconds)) if seconds else 0.0)


def _drafts(
    model: DistilledModel, lesson: Lesson, seconds: list[float]
) -> Iterable[tuple[int, int]]:
    """Yield for each token but the last how far its draft is right, and how far it could be."""
    tokens: Sequence[int] = lesson.answer.token_ids
    states = lesson.thoughts.hidden.astype(np.float32)
    uses_hidden = model.manifest.shape.uses_hidden
    cache = model.open()
    for anchor in range(len(tokens) - 1):
        following = tokens[anchor + 1 : anchor + 1 + NUM_PLACES]
        known, token, num_right = states[anchor], tokens[anchor], 0
        while True:
            began = time.perf_counter()
            known, logits = model.extend(cache, [token], known[None] if uses_hidden else None)
            token = model.token_id(int(np.argmax(logits)))
            seconds.append(time.perf_counter() - began)
            if token != following[num_right]:
                break
            num_right += 1
            if num_right == len(following):
                break
        cache.truncate(anchor + 1)
        yield num_right, len(following)
    cache.close()
