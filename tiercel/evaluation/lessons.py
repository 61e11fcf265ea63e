"""A column's answers as rows to learn from: a smaller model is trained on what a larger one says.

That is distillation at the level of sequences (Kim and Rush, arXiv:1606.07947): no probabilities.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.evaluation.answering import request_of
from tiercel.evaluation.column import Column
from tiercel.evaluation.columns_on_tiers import OpenColumn
from tiercel.evaluation.generation import Generated, Request
from tiercel.evaluation.items import Item, read_items
from tiercel.evaluation.sets import EvaluationSet
from tiercel.types import FinishReason


def items_to_ask(each: EvaluationSet, data: Path, left_out: Path | None = None) -> list[Item]:
    """Return a file's prompts without those of another that is kept for evaluation.

    Raises InvalidRequest for a set that asks for letters, and a file that cannot be read.
    """
    if each.asks_letter:
        raise InvalidRequest("set", each.name, "its answers are letters and no text")
    items = _read(each, data)
    others = {item.prompt for item in _read(each, left_out)} if left_out else set()
    return [item for item in items if item.prompt not in others]


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


def write_lessons(
    file: LessonFile,
    each: EvaluationSet,
    items: Sequence[Item],
    column: Column,
    opened: OpenColumn,
    progress: Callable[[int], None] = lambda num_answers: None,
) -> int:
    """Ask what has no row yet; return how many answers were cut off and are no lessons."""
    num_cut = 0
    for item, said in opened.decoder.run(_asked(file, each, items, column, opened)):
        if said.finish is FinishReason.STOP_TOKEN:
            file.add(each, item, _text(opened, said))
        num_cut += said.finish is not FinishReason.STOP_TOKEN
        progress(1)
    return num_cut


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


def _read(each: EvaluationSet, path: Path) -> Sequence[Item]:
    return read_items(path, each.name, max_prompt_characters=each.max_prompt_characters).items
