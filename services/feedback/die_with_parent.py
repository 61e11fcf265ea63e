"""Runs a command in its own place that the kernel ends when the process that asked for it ends.

Run as a script, `die_with_parent.py PARENT_ID COMMAND...`: a hook between fork and exec is not safe
in a process with threads. Only Linux has such a call; elsewhere the command outlives a parent that
is killed.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the command, unless the parent is gone already."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:
        os.execv(command[0], command)


if __name__ == "__main__":
    main()
