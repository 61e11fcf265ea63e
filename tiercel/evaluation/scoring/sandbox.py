"""Runs untrusted Python in a process of its own: no network, no files to write, bounded.

Where the kernel does not permit namespaces nothing is run: a program whose limits cannot be held
is not scored as if they had been.
"""

import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from tiercel.errors import Unsupported

_CHILD = Path(__file__).with_name("sandbox_child.py")
NOT_CONFINED = 125
"""The child's exit status when it was denied a namespace; its reason is on its standard error."""


@dataclass(frozen=True)
class Limits:
    """What a program may use. Wall time is ample: a busy machine is not the program's fault."""

    cpu_seconds: int = 5
    wall_seconds: float = 60.0
    megabytes: int = 512


def passes(program: str, limits: Limits | None = None) -> bool:
    """Return whether a program runs to its last line without an error.

    Leaving early, also with status 0, is no pass. Raises Unsupported where it cannot be confined.
    """
    limits = limits or Limits()
    # Said at the program's end, on a pipe that it does not know of.
    word = secrets.token_hex(16)
    command = [sys.executable, "-I", "-S", str(_CHILD), str(limits.megabytes), word]
    command.append(str(limits.cpu_seconds))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        cwd="/",
        start_new_session=True,
    ) as process:
        killer = Timer(limits.wall_seconds, _kill, [process.pid])
        killer.start()
        try:
            said = _told(process, program)
        finally:
            killer.cancel()
            _kill(process.pid)
        if process.wait() == NOT_CONFINED:
            assert process.stderr is not None
            why = process.stderr.read(400).decode(errors="replace").strip()
            raise Unsupported(f"code cannot be confined here: {why}")
    return said == word.encode()


def _told(process: subprocess.Popen[bytes], program: str) -> bytes:
    """Hand the program over; return what was said at its end, nothing if it never came there."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(program.encode(errors="replace"))
        process.stdin.close()
    except BrokenPipeError:
        process.stdin = None  # the child was denied before it read anything
        return b""
    return process.stdout.read(64)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
