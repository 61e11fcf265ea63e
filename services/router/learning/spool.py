"""Events wait on disk until feedback can be told of them: bounded, kept over restarts."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.learning import Event
from tiercel.wire.feedback import event_from_bytes, event_to_bytes

_SCHEMA = "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, message BLOB NOT NULL)"


class Spool:
    """A queue in one SQLite file; when it is full the oldest events go.

    Losing the last second to a power cut costs some events; waiting for the disk would cost time.
    """

    def __init__(self, path: Path, most: int) -> None:
        """Go on with what is in the file; raises InvalidRequest if it is none of ours."""
        self._most = most
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=OFF")
            self._database.execute(_SCHEMA)
            self._number = self._count()
        except (OSError, sqlite3.Error) as error:
            raise InvalidRequest("spool", str(path), f"cannot be used: {error}") from None

    def __len__(self) -> int:
        """Return how many events wait."""
        return self._number

    def put(self, events: Sequence[Event]) -> int:
        """Add events; return how many older ones had to go."""
        rows = [(event_to_bytes(event),) for event in events]
        self._database.execute("BEGIN")
        self._database.executemany("INSERT INTO events (message) VALUES (?)", rows)
        self._number += len(rows)
        num_gone = max(0, self._number - self._most)
        self._drop(num_gone)
        self._database.execute("COMMIT")
        return num_gone

    def oldest(self, most: int) -> list[Event]:
        """Return up to so many events, the oldest first; they stay until `told`."""
        query = "SELECT message FROM events ORDER BY number LIMIT ?"
        return [event_from_bytes(message) for (message,) in self._database.execute(query, (most,))]

    def told(self, number: int) -> None:
        """Forget so many of the oldest."""
        self._drop(number)

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        self._database.close()

    def _drop(self, number: int) -> None:
        oldest = "SELECT number FROM events ORDER BY number LIMIT ?"
        self._database.execute(f"DELETE FROM events WHERE number IN ({oldest})", (number,))
        self._number -= min(number, self._number)

    def _count(self) -> int:
        return int(self._database.execute("SELECT COUNT(*) FROM events").fetchone()[0])
