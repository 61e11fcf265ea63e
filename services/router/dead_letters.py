"""What feedback refused, on file for whoever wants to know why: the newest, a line of JSON each."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from google.protobuf.json_format import MessageToDict

from tiercel.learning import Event
from tiercel.wire.feedback import report_to_pb

log = structlog.get_logger(__name__)

_MAX_BYTES = 1 << 20


class DeadLetters:
    """A file that is moved aside to `.old` when it is full; what was there before goes."""

    def __init__(self, path: Path, *, max_bytes: int = _MAX_BYTES) -> None:
        self._path, self._max_bytes = path, max_bytes

    def put(self, events: Sequence[Event], problem: str) -> None:
        """Write events down with the reason; what cannot be written is lost, and logged."""
        lines = "".join(_line(event, problem) for event in events)
        try:
            if self._path.exists() and self._path.stat().st_size + len(lines) > self._max_bytes:
                self._path.replace(self._path.with_name(self._path.name + ".old"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            log.warning("refused events are not kept", path=str(self._path), problem=str(error))


def _line(event: Event, problem: str) -> str:
    """Return when and why it was refused, and the event as it was sent."""
    sent = MessageToDict(report_to_pb([event]), preserving_proto_field_name=True)
    return json.dumps({"at": time.time(), "problem": problem, **sent}) + "\n"
