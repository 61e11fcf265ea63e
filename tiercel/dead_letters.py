"""What feedback refused, on file for whoever wants to know why: the newest, a line of JSON each.

Routers write the file; `tiercel feedback refused` reads it, and has it sent again.
"""

import json
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from tiercel.errors import InvalidRequest
from tiercel.learning import Event
from tiercel.wire.reports_as_json import events_from_json, names_from_json, report_to_json

log = structlog.get_logger(__name__)

FILE = "refused.jsonl"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class DeadLetter:
    """One line of the file."""

    at_s: float  # since 1970
    problem: str
    names: Sequence[tuple[str, str]]  # of what sort each event is, and its id
    fields: Mapping[str, Any]  # as they were sent

    @classmethod
    def read(cls, line: str) -> "DeadLetter":
        """Return what a line holds; raises InvalidRequest for what is none, such as half of one."""
        try:
            fields = json.loads(line)
            at_s, problem = float(fields.pop("at")), str(fields.pop("problem"))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidRequest("line", line[:80], "is no event and why it was refused") from None
        return cls(at_s, problem, names_from_json(fields), fields)

    def again(self, problem: str) -> str:
        """Return the line with another reason."""
        return json.dumps({"at": self.at_s, "problem": problem, **self.fields})

    def events(self) -> list[Event]:
        """Return the events; raises InvalidRequest if they are not sound by our own rules."""
        return events_from_json(self.fields)


class DeadLetters:
    """A file that is moved aside to `.old` when it is full; what was there before goes."""

    def __init__(self, path: Path, *, max_bytes: int = _MAX_BYTES) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._old, self._taken = (path.with_name(path.name + end) for end in (".old", ".taken"))

    def put(self, events: Sequence[Event], problem: str) -> None:
        """Write events down with the reason; what cannot be written is lost, and logged."""
        lines = "".join(_line(event, problem) for event in events)
        try:
            if self._path.exists() and self._path.stat().st_size + len(lines) > self._max_bytes:
                self._path.replace(self._old)
            self._append(lines)
        except OSError as error:
            log.warning("refused events are not kept", path=str(self._path), problem=str(error))

    def lines(self) -> list[str]:
        """Return the lines of all files, oldest first. Raises InvalidRequest if there is none."""
        paths = (self._taken, self._old, self._path)
        found = [path.read_text(encoding="utf-8") for path in paths if path.exists()]
        if not found and not self._path.parent.is_dir():
            raise InvalidRequest("state_dir", str(self._path.parent), "is no folder")
        return [line for text in found for line in text.splitlines() if line.strip()]

    def taken(self) -> Generator[list[str], None, None]:
        """Yield the lines of each file, which is gone once the caller goes on, or closes this.

        It is moved aside for that long, so that a router may write a new one. What the caller wants
        to keep it gives back first. If its process dies the file is there, and the next one has it.
        """
        for path in (self._taken, self._path, self._old):
            if path.exists():
                path.replace(self._taken)
                try:
                    yield self._taken.read_text(encoding="utf-8").splitlines()
                finally:
                    self._taken.unlink()

    def give_back(self, lines: Sequence[str]) -> None:
        """Write lines down again, though the file be full: no other must go. Raises OSError."""
        if lines:
            self._append("".join(f"{line}\n" for line in lines))

    def _append(self, lines: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(lines)


def _line(event: Event, problem: str) -> str:
    """Return when and why it was refused, and the event as it was sent."""
    return json.dumps({"at": time.time(), "problem": problem, **report_to_json([event])}) + "\n"
