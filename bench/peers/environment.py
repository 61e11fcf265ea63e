"""A virtual environment of the peers' own in the user's cache folder; Tiercel is not in it."""

import subprocess
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiercel.config import inherited
from tiercel.models.storage import cache_folder

REPOSITORY = Path(__file__).resolve().parents[2]


class PeerUnavailableError(Exception):
    """A peer cannot be installed or started; the message is the reason, in one line."""


class Environment:
    """Python with what was installed into it, and kept for the next run."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "bench" / "environment"

    @property
    def python(self) -> str:
        """The interpreter's path."""
        return str(self._folder / "bin" / "python")

    def install(self, requirements: Sequence[str]) -> None:
        """Install the requirements unless they are; raises PeerUnavailableError."""
        wanted = "\n".join(requirements)
        stamp = self._folder / "installed" / requirements[0].partition("==")[0]
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return
        if not Path(self.python).exists():
            venv.create(self._folder, with_pip=True)
        self.run("-m", "pip", "install", "--quiet", "--no-input", *requirements)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(wanted, encoding="utf-8")

    def run(self, *arguments: str) -> None:
        """Run its Python to the end; raises PeerUnavailableError with the last line of it."""
        done = subprocess.run(
            [self.python, *arguments],
            cwd=REPOSITORY,
            env=surroundings(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PeerUnavailableError(last_line(done.stderr))


def surroundings() -> Mapping[str, str]:
    """Return the environment variables of every worker: models come from this machine only."""
    return inherited({"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines or ["no reason given"])[-1][:300]
