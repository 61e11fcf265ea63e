"""Log lines of many services in one stream, each with the name of its service."""

import json
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from tiercel.cli.output import Output, without_controls

_STYLES = ("green", "yellow", "magenta", "cyan", "blue", "bright_green", "bright_magenta")
_LEVELS = {"warning": "yellow", "error": "red", "critical": "red"}
_HEAD = ("timestamp", "level", "event", "exception")


class LogView:
    """Writes lines of services to standard error, or as JSON to standard output."""

    def __init__(self, output: Output, names: Sequence[str], *, as_json: bool) -> None:
        self._output = output
        self._as_json = as_json
        self._width = max(map(len, names), default=0)
        self._styles = {name: _STYLES[place % len(_STYLES)] for place, name in enumerate(names)}

    def show(self, name: str, line: str) -> None:
        """Write one line of the service `name`."""
        entry = _parsed(line)
        if self._as_json:
            self._output.json({"service": name, **entry})
        else:
            self._output.errors.print(self._text(name, entry), soft_wrap=True)

    def _text(self, name: str, entry: dict[str, Any]) -> Text:
        level = str(entry.get("level", "info"))
        text = Text(f"{name:{self._width}} | ", style=self._styles.get(name, "default"))
        # 2026-01-31T12:34:56.789Z: people want the time of day.
        clock = str(entry.get("timestamp", ""))[11:19]
        parts = [clock, level if level != "info" else "", str(entry["event"])]
        named = {key: value for key, value in entry.items() if key not in _HEAD and value != ""}
        rest = [f"{key}={value}" for key, value in named.items()]
        shown = " ".join(part for part in [*parts, *rest] if part)
        if "exception" in entry:
            shown += f"\n{entry['exception']}"
        return text.append(without_controls(shown), style=_LEVELS.get(level, "default"))


def _parsed(line: str) -> dict[str, Any]:
    """Return a structured line's fields; any other line is an event without more."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    return entry if isinstance(entry, dict) and "event" in entry else {"event": line}
