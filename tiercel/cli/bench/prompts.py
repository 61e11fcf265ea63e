"""Files of prompts: JSONL rows with a `prompt`, or plain lines."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tiercel.errors import InvalidRequest


@dataclass(frozen=True)
class BenchPrompt:
    """One prompt, and its kind of task if the file says it."""

    text: str
    task: str = ""


def read_prompts(path: Path, *, every: int = 1, limit: int | None = None) -> list[BenchPrompt]:
    """Return every `every`-th prompt of the file, from the first on, at most `limit`.

    Raises InvalidRequest with the line's number for a row that holds no prompt, and for a file
    that cannot be read or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise InvalidRequest("prompts", str(path), why or "cannot be read") from None
    prompts = list(_prompts(path, lines))[::every][:limit]
    if not prompts:
        raise InvalidRequest("prompts", str(path), "holds no prompt")
    return prompts


def _prompts(path: Path, lines: list[str]) -> Iterator[BenchPrompt]:
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    is_json = bool(rows) and rows[0][1].lstrip().startswith("{")
    for number, line in rows:
        yield _from_json(f"{path}:{number}", line) if is_json else BenchPrompt(line)


def _from_json(where: str, line: str) -> BenchPrompt:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidRequest("prompts", where, f"is not JSON: {error}") from None
    prompt = row.get("prompt") if isinstance(row, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidRequest("prompts", where, "has no text under `prompt`")
    return BenchPrompt(prompt, str(row.get("task") or ""))
