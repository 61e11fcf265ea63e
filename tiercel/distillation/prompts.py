"""Prompts to record answers to: JSONL data sets, without what an evaluation asks.

Nothing here knows of models or tokens.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import zip_longest
from pathlib import Path
from random import Random

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tiercel.errors import InvalidRequest

# Of Spec-Bench, MT-Bench and HumanEval nothing may be trained on, nor of any test set.
LEFT_OUT = ("spec_bench", "mt_bench", "humaneval", "*_test")
# So many words in a row make a prompt a copy of another one, whatever instruction stands before it.
_SHARED_WORDS = 13


@dataclass(frozen=True)
class Prompt:
    """One row of a data set; `kind` is its kind of task."""

    data_set: str
    row: int
    kind: str
    text: str


@dataclass(frozen=True)
class Data:
    """The prompts of a folder, and the sha256 of each file that was read."""

    prompts: tuple[Prompt, ...]
    digests: dict[str, str]  # data set: hex sha256


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    prompt: str = Field(min_length=1)
    task: str = ""


def read_data(folder: Path, left_out: Sequence[str] = LEFT_OUT) -> Data:
    """Return the prompts of the folder's *.jsonl files, one object with a `prompt` on each line.

    Files whose stem fits a pattern of `left_out` are for evaluation: neither they nor any prompt
    that shares 13 words in a row with theirs is returned. Raises InvalidRequest that names the
    line.
    """
    files = sorted(folder.glob("*.jsonl"))
    kept = [file for file in files if not any(fnmatch(file.stem, one) for one in left_out)]
    if not kept:
        raise InvalidRequest("data", str(folder), "holds no *.jsonl file to record")
    asked = _Asked(prompt.text for file in files if file not in kept for prompt in _read(file))
    prompts = [prompt for file in kept for prompt in _read(file) if not asked.holds(prompt.text)]
    digests = {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in kept}
    return Data(tuple(prompts), digests)


def in_turn(prompts: Sequence[Prompt], seed: int) -> list[Prompt]:
    """Return the prompts in an order of which every beginning holds all kinds alike.

    Kinds take turns, within a kind its data sets do, and a data set is shuffled by `seed`. A kind
    that runs out drops out.
    """
    by_kind: dict[str, dict[str, list[Prompt]]] = {}
    for prompt in prompts:
        by_kind.setdefault(prompt.kind, {}).setdefault(prompt.data_set, []).append(prompt)
    return _alternated(
        _alternated(_shuffled(rows, seed) for rows in data_sets.values())
        for data_sets in by_kind.values()
    )


class _Asked:
    """What an evaluation asks."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._whole: set[tuple[str, ...]] = set()
        self._runs: set[tuple[str, ...]] = set()
        for text in texts:
            words = _words(text)
            self._whole.add(words)
            self._runs.update(_runs(words))

    def holds(self, text: str) -> bool:
        words = _words(text)
        return words in self._whole or any(run in self._runs for run in _runs(words))


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))


def _runs(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for start in range(len(words) - _SHARED_WORDS + 1):
        yield words[start : start + _SHARED_WORDS]


def _read(file: Path) -> list[Prompt]:
    lines = file.read_text(encoding="utf-8").split("\n")
    return [_parsed(file, row, line) for row, line in enumerate(lines) if line]


def _parsed(file: Path, row: int, line: str) -> Prompt:
    try:
        read = _Row.model_validate_json(line)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise InvalidRequest(f"{file.name}:{row + 1}", line[:80], why) from None
    return Prompt(file.stem, row, read.task or file.stem, read.prompt)


def _shuffled(rows: Sequence[Prompt], seed: int) -> list[Prompt]:
    return Random(f"{seed} {rows[0].data_set}").sample(rows, len(rows))


def _alternated(lists: Iterable[list[Prompt]]) -> list[Prompt]:
    rounds = zip_longest(*lists)
    return [prompt for turn in rounds for prompt in turn if prompt is not None]
