"""The results of a fusion, a JSONL file that grows item by item and holds no text.

Its first line says what was fused. Whoever goes on with it must fuse the same.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tiercel.errors import InvalidRequest


@dataclass(frozen=True)
class Result:
    """What one method answered to one item; `score` is from 0 to 1."""

    set_name: str
    method: str
    item_id: str
    score: float
    num_tokens: int
    num_draft_passes: int
    num_target_passes: int
    num_replaced: int
    num_dropped: int
    seconds: float


class ResultFile:
    """What is known so far, and a place to add to it."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        """Begin the file, or go on with it; raises InvalidRequest if it is about other models.

        A last line that a kill cut short is removed.
        """
        self._path = path
        self.results: list[Result] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = _whole_lines(path)
        if whole:
            head, *rows = (json.loads(line) for line in whole)
            _check_same(path, head, about)
            self.results = [Result(**row) for row in rows]
        else:
            path.write_text(json.dumps(about) + "\n")

    @property
    def cells(self) -> set[tuple[str, str, str]]:
        """The set, method and item of each result."""
        return {(one.set_name, one.method, one.item_id) for one in self.results}

    def add(self, result: Result) -> None:
        """Write one more result, at once."""
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        self.results.append(result)


def read_results(path: Path) -> list[Result]:
    """Return the results in a file; raises InvalidRequest if there is none."""
    lines = _whole_lines(path)
    if not lines:
        raise InvalidRequest("out", str(path), "holds no results")
    return [Result(**json.loads(line)) for line in lines[1:]]


def _whole_lines(path: Path) -> list[str]:
    """Return the lines of a file that are whole, and leave no others in it."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return whole.splitlines()


def _check_same(path: Path, was: dict[str, Any], now: dict[str, Any]) -> None:
    for name in {*was, *now}:
        if was.get(name) != now.get(name):
            why = f"{path} was made with {was.get(name)!r}: name another file"
            raise InvalidRequest(name, now.get(name), why)
