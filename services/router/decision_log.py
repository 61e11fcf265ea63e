"""Every decision as a line of JSON, with what is needed to weigh other policies by it later.

No text of a prompt or answer is in it. Lines are written by a thread of their own.
"""

import json
import logging
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from logging.handlers import QueueHandler, QueueListener, RotatingFileHandler
from pathlib import Path
from typing import Any

from services.router import metrics
from tiercel.routing.policy import Features

_MAX_WAITING = 4096
_MAX_BYTES = 64 << 20
_NUM_OLD_FILES = 5


class _Dropping(QueueHandler):
    """Never waits: a line that finds no place is counted and gone."""

    def __init__(self, waiting: queue.SimpleQueue[Any], most: int) -> None:
        super().__init__(waiting)
        self._waiting, self._most = waiting, most

    def enqueue(self, record: logging.LogRecord) -> None:
        if self._waiting.qsize() < self._most:
            self._waiting.put_nowait(record)
        else:
            metrics.num_dropped_decisions.inc()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # its line is made by the thread that writes it


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(record.__dict__["content"], separators=(",", ":"))


class DecisionLog:
    """Lines into a file that is moved aside when it is full; without a path, into nothing."""

    def __init__(
        self, path: str, *, max_bytes: int = _MAX_BYTES, max_waiting: int = _MAX_WAITING
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._handler: _Dropping | None = None
        self._max_waiting = max_waiting

    @property
    def is_on(self) -> bool:
        """Whether lines go anywhere."""
        return self._handler is not None

    def put(self, content: dict[str, Any]) -> None:
        """Have a line written; never waits, never fails."""
        if self._handler is not None:
            record = logging.makeLogRecord({"content": content})
            self._handler.enqueue(record)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write while the body runs; at its end everything that was put is on file.

        Raises OSError if the file cannot be written.
        """
        if not self._path:
            yield
            return
        Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        file = RotatingFileHandler(
            self._path, maxBytes=self._max_bytes, backupCount=_NUM_OLD_FILES, encoding="utf-8"
        )
        file.setFormatter(_Line())
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        listener = QueueListener(waiting, file)
        self._handler = _Dropping(waiting, self._max_waiting)
        listener.start()
        try:
            yield
        finally:
            self._handler = None
            listener.stop()
            file.close()


def features_hash(features: Features) -> str:
    """Return a short hash of a prompt's features, the same for equal prompts; empty for none."""
    return sha256(features.tobytes()).hexdigest()[:16] if len(features) else ""
