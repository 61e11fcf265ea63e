"""This side of the keeper: a process that outlives this one by just long enough to clean up."""

import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).with_name("keeper.py")


class Guard:
    """Has a keeper end the named process groups if this process dies, however it dies."""

    def __init__(self, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._groups: set[int] = set()
        self._keeper = self._started()

    def add(self, group: int) -> None:
        """End `group` when this process dies."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Forget `group`: nothing of it is left, and its number may be used again."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """Let the keeper go, and wait until it has ended every group that is left."""
        self._keeper.communicate()

    def _started(self) -> "subprocess.Popen[bytes]":
        # A session of its own: neither Ctrl-C nor a kill of this process group reaches it.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SCRIPT), str(self._grace_s)],
            stdin=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def _tell(self, line: str) -> None:
        try:
            self._write(line)
        except BrokenPipeError:  # somebody killed the keeper
            self.close()
            self._keeper = self._started()
            self._write("".join(f"+{group}\n" for group in self._groups))

    def _write(self, text: str) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(text.encode())
