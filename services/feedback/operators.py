"""What operators and guardrails do to all that is learned: freeze, roll back, forget, import."""

import json
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import cast

from services.feedback.cells import Cell
from services.feedback.connection import SCHEMA, Connection
from services.feedback.trials import trial_name
from tiercel.errors import InvalidRequest
from tiercel.learning import Change

# What can be forgotten by itself, by the first word of its cells.
_PARTS = {
    "pairs": ("pair",),
    "tiers": ("tier", "speed"),
    "strictness": ("rule", "level", "strictness"),
    "qualities": ("quality", "restart"),
    "trials": ("trial",),
    "budget": ("pacing", "cost"),
}
RESETTABLE = ("", *_PARTS)


class Operators:
    """Each call is one Lua step, noted in the history; what was learned before it is kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._operate = connection.step("operate")

    async def freeze(self, *, frozen: bool, author: str, reason: str) -> int:
        """Learn no further, or learn again; return the version. Raises Unavailable."""
        return await self._do("freeze" if frozen else "thaw", author, reason)

    async def roll_back(self, version: int, *, author: str, reason: str) -> int:
        """Put an earlier version back; return the new one. Raises NotFound, Unavailable."""
        return await self._do("roll_back", author, reason, str(version))

    async def reset(self, what: str, *, author: str, reason: str) -> int:
        """Forget a part, "" for everything; return the version.

        Raises InvalidRequest, Unavailable.
        """
        if what not in RESETTABLE:
            known = ", ".join(_PARTS)
            raise InvalidRequest("what", what, f"must be empty or one of {known}")
        version = 0
        for word in _PARTS.get(what, ("",)):
            beginning = f'["{word}",' if word else ""
            version = await self._do("reset", author, reason or what, beginning)
        return version

    async def withdraw(
        self, led: Cell, levels: Sequence[Cell], num_audits: int, *, author: str, reason: str
    ) -> int:
        """Forget a strictness and its certificate, if these audits are there; return the version.

        Raises Unavailable.
        """
        names = [cell.name for cell in levels]
        return await self._do("withdraw", author, reason, led.name, str(num_audits), *names)

    async def alarm(self, *, author: str, reason: str) -> int:
        """Learn no further, unless that is so already; return the version. Raises Unavailable."""
        return await self._do("alarm", author, reason)

    async def end_trial(self, policy: str, incumbent: str, *, author: str, reason: str) -> int:
        """Have a policy on trial decide no more; return the version. Raises Unavailable."""
        return await self._do("end_trial", author, reason, trial_name(policy, incumbent))

    async def history(self, limit: int) -> list[Change]:
        """Return the newest changes, newest first. Raises Unavailable."""
        entries = await self._connection.finished(self._entries(limit))
        return [_change(entry) for entry in entries]

    async def export(self) -> AsyncGenerator[bytes, None]:
        """Yield all that is learned as JSON lines. Raises Unavailable."""
        epoch, cells = await self._connection.finished(self._all())
        yield _line({"schema": SCHEMA, "epoch": epoch})
        for name in sorted(cells):
            yield _line({"cell": name, "sums": cells[name]})

    async def restore(self, lines: Sequence[str], *, author: str, reason: str) -> tuple[str, int]:
        """Take over an export in place of all that is learned; return the new epoch and version.

        Raises InvalidRequest for what is no export, and changes nothing then; Unavailable.
        """
        cells = _parsed(lines)
        epoch = uuid.uuid4().hex
        arguments = [part for pair in cells for part in pair]
        return epoch, await self._do("import", author, reason, epoch, *arguments)

    async def _do(self, what: str, author: str, reason: str, *arguments: str) -> int:
        keys = [*self._connection.keys("state", "cells", "history"), *self._connection.places()]
        channel = self._connection.key("changes")
        said = [_one_line(author), _one_line(reason)]
        call = keys, [what, *said, channel, *arguments]
        [version] = await self._connection.finished(self._connection.run(self._operate, call))
        return int(version)

    async def _entries(self, limit: int) -> list[str]:
        key = self._connection.key("history")
        return cast("list[str]", await self._connection.client.lrange(key, 0, limit - 1))

    async def _all(self) -> tuple[str, dict[str, str]]:
        client, (state, cells) = self._connection.client, self._connection.keys("state", "cells")
        epoch = await client.hget(state, "epoch")
        return str(epoch or ""), cast("dict[str, str]", await client.hgetall(cells))


def _change(entry: str) -> Change:
    version, at_ms, author, action, reason = entry.split("\t")
    return Change(int(version), float(at_ms) / 1000, author, action, reason)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _line(content: dict[str, object]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _parsed(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Return names and sums of an export's cells; raises InvalidRequest that names the line."""
    try:
        head, *cells = [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise InvalidRequest("data", len(lines), f"is no export: {error}") from None
    if not isinstance(head, dict) or head.get("schema") != SCHEMA:
        raise InvalidRequest("data", str(head)[:80], f"is no export of schema {SCHEMA}")
    return [_cell(number, cell) for number, cell in enumerate(cells, 2)]


def _cell(number: int, cell: object) -> tuple[str, str]:
    try:
        name, sums = cell["cell"], cell["sums"]  # type: ignore[index]
        Cell.named(name)
        words = sums.split()
        sound = all(0 <= float(value) < float("inf") for value in words[1::2])
    except (TypeError, KeyError, ValueError, AttributeError):
        sound = False
    if not sound:
        raise InvalidRequest(f"data:{number}", str(cell)[:80], "is no cell")
    return name, sums
