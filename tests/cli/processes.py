"""What runs on this machine, from /proc."""

import asyncio
import time
from pathlib import Path

PATIENCE_S = 150.0


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def command_of(pid: int) -> str:
    """The command line, spaces between its words; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children_of(pid: int) -> list[int]:
    """The processes that `pid` started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(stat.split()[0])] = int(stat.rpartition(")")[2].split()[1])
    return [child for child, parent in parents.items() if parent == pid]


def descendants_of(pid: int) -> list[int]:
    """The processes that `pid` started, and those that they started, and so on."""
    children = children_of(pid)
    return [*children, *(below for child in children for below in descendants_of(child))]


async def until(condition, what: str):
    """Wait, for a bounded time, until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)
