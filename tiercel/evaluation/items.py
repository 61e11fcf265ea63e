"""One prompt of an evaluation set, and the order in which a set is spent."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tiercel.errors import InvalidRequest


@dataclass(frozen=True)
class Item:
    """One prompt with what its answers are scored by; `meta` is as the data set has it."""

    set_name: str
    id: str
    prompt: str
    reference: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt_hash(self) -> int:
        """The first 64 bits of the prompt's sha256."""
        return int.from_bytes(hashlib.sha256(self.prompt.encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Items:
    """The prompts of a file in the order in which they are spent, and the file's hex sha256."""

    digest: str
    items: tuple[Item, ...]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    reference: str | None = None
    meta: dict[str, Any] = Field(default_factory=dict)


def read_items(path: Path, set_name: str, *, max_prompt_characters: int) -> Items:
    """Return a JSONL file's rows, without those that are too long, as a set's items.

    They are ordered by a hash of their ids: any beginning is a random sample, and stays one when
    a set is extended. Raises InvalidRequest that names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidRequest("data", str(path), error.strerror or str(error)) from None
    lines = content.decode().split("\n")
    rows = [_parsed(path, number, line) for number, line in enumerate(lines, 1) if line]
    if len({row.id for row in rows}) < len(rows):
        raise InvalidRequest("data", str(path), "holds an id twice")
    kept = [row for row in rows if len(row.prompt) <= max_prompt_characters]
    items = [Item(set_name, row.id, row.prompt, row.reference or "", row.meta) for row in kept]
    return Items(hashlib.sha256(content).hexdigest(), tuple(sorted(items, key=_place)))


def _place(item: Item) -> bytes:
    return hashlib.sha256(f"{item.set_name} {item.id}".encode()).digest()


def _parsed(path: Path, number: int, line: str) -> _Row:
    try:
        return _Row.model_validate_json(line)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise InvalidRequest(f"{path.name}:{number}", line[:80], why) from None
