"""The last process to leave: ends the process groups that it was told of when its parent is gone.

Runs as a script of its own with nothing but the standard library. Lines come in on stdin, `+PGID`
and `-PGID`; the end of the file says that the parent has died, by SIGKILL perhaps.
"""

import os
import signal
import sys
import time


def read_groups() -> set[int]:
    """Read until the parent is gone; return the process groups that it left."""
    groups: set[int] = set()
    for line in sys.stdin:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    return groups


def alive(group: int) -> bool:
    """Return whether any process of the group exists."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    return True


def end(groups: set[int], grace_s: float) -> None:
    """SIGTERM the groups, and SIGKILL what is left of them after the grace."""
    _signal(groups, signal.SIGTERM)
    _signal(groups, signal.SIGCONT)  # a stopped process takes no SIGTERM
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(alive(group) for group in groups):
        time.sleep(0.05)
    _signal(groups, signal.SIGKILL)


def _signal(groups: set[int], number: int) -> None:
    for group in groups:
        if alive(group):
            os.killpg(group, number)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(read_groups(), grace_s=float(sys.argv[1]))
