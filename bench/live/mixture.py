"""Mixed kinds of prompts from the data folder, in an order that a seed draws."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tiercel.evaluation.items import Item, read_items
from tiercel.evaluation.sets import SETS
from tiercel.types import Message

KINDS = ("instructions", "gsm8k_test", "xsum_sample", "mbpp_sanitized", "writingprompts")


@dataclass(frozen=True)
class Prompt:
    """One prompt; `kind` is the name of its file."""

    kind: str
    id: str
    messages: tuple[Message, ...]


def read_kind(folder: Path, kind: str, *, max_characters: int) -> list[Prompt]:
    """Return a file's prompts in the order of their hashes; raises InvalidRequest."""
    path = folder / f"{kind}.jsonl"
    items = read_items(path, kind, max_prompt_characters=max_characters).items
    return [Prompt(kind, item.id, _messages(kind, item)) for item in items]


def mixture(
    folder: Path, kinds: Sequence[str], per_kind: int, *, seed: int, max_characters: int = 2_500
) -> list[Prompt]:
    """Return `per_kind` prompts of each kind, shuffled; the same for the same seed."""
    chosen = [
        prompt
        for kind in kinds
        for prompt in read_kind(folder, kind, max_characters=max_characters)[:per_kind]
    ]
    random.Random(seed).shuffle(chosen)
    return chosen


def _messages(kind: str, item: Item) -> tuple[Message, ...]:
    known = SETS.get(kind)
    return tuple(known.messages(item)) if known else (Message("user", item.prompt),)
