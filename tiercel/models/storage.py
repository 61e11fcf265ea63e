"""Where models and built graphs are kept on this machine, and how one process puts them there."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def cache_folder() -> Path:
    """Return Tiercel's cache folder: $TIERCEL_CACHE, else `tiercel` in the user's cache folder."""
    if own := os.environ.get("TIERCEL_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tiercel"


def stored(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder`, filled by `build` first if it does not exist yet.

    Safe when many processes ask at once: one builds into a folder beside it and renames it into
    place when it is whole, the others wait for that one. A build that fails leaves nothing.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                build(unfinished)
                unfinished.chmod(0o755)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return folder
