"""A column's answers as rows to learn from: a smaller model is trained on what a larger one says.

That is distillation at the level of sequences (Kim and Rush, arXiv:1606.07947): no probabilities.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.evaluation.answering import request_of
from tiercel.evaluation.column import Column
from tiercel.evaluation.columns_on_tiers import OpenColumn
from tiercel.evaluation.generation import Generated, Request
from tiercel.evaluation.items import Item
from tiercel.evaluation.scoring import SCORERS
from tiercel.evaluation.sets import UNSCORED, EvaluationSet
from tiercel.types import FinishReason


def check_asked(each: EvaluationSet, *, only_right: bool) -> None:
    """Raise InvalidRequest where answers are letters, or where none is known to be right."""
    if each.asks_letter:
        raise InvalidRequest("set", each.name, "its answers are letters and no text")
    if only_right and each.scorer == UNSCORED:
        raise InvalidRequest("right", each.name, "nothing says which of its answers are right")


class LessonFile:
    """A JSONL file of what was asked and answered, written line by line."""

    def __init__(self, path: Path) -> None:
        """Go on with what is there; a line that a kill has cut off is dropped."""
        self._path = path
        whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
        if path.exists():
            path.write_bytes(whole + b"\n" if whole else b"")
        self.done = {json.loads(line)["id"] for line in whole.splitlines()}

    def add(self, each: EvaluationSet, item: Item, answer: str) -> None:
        """Add a row: the prompt is the whole message, as it was asked."""
        (message,) = each.messages(item)
        row = {"id": item.id, "prompt": message.content, "reference": answer}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.done.add(item.id)


@dataclass
class Dropped:
    """How many answers are no lessons: they were cut off, or wrong where only right ones count."""

    cut: int = 0
    wrong: int = 0


def write_lessons(
    file: LessonFile,
    each: EvaluationSet,
    items: Sequence[Item],
    column: Column,
    opened: OpenColumn,
    *,
    only_right: bool = False,
    progress: Callable[[int], None] = lambda num_answers: None,
) -> Dropped:
    """Ask what has no row yet; return how many answers are no lessons."""
    dropped = Dropped()
    for item, said in opened.decoder.run(_asked(file, each, items, column, opened)):
        text = _text(opened, said)
        if said.finish is not FinishReason.STOP_TOKEN:
            dropped.cut += 1
        elif only_right and not is_right(each, item, text):
            dropped.wrong += 1
        else:
            file.add(each, item, text)
        progress(1)
    return dropped


def is_right(each: EvaluationSet, item: Item, answer: str) -> bool:
    """Return whether the set's first metric gives all that it can give."""
    return next(iter(SCORERS[each.scorer](answer, item).values()), 0.0) >= 1.0


def _asked(
    file: LessonFile,
    each: EvaluationSet,
    items: Sequence[Item],
    column: Column,
    opened: OpenColumn,
) -> Iterator[tuple[Item, Request]]:
    for item in items:
        if item.id in file.done:
            continue
        request = request_of(each, item, column, 0, opened.decoder.tokenizer)
        if len(request.prompt_ids) + request.max_new_tokens <= opened.decoder.max_length:
            yield item, request


def _text(opened: OpenColumn, said: Generated) -> str:
    return opened.decoder.tokenizer.decode(said.token_ids, skip_special=True).strip()
