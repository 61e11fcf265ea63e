"""Files that appear whole or not at all, and small ones that are read up to a size."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tiercel.errors import ModelUnavailable

T = TypeVar("T")


def read_small(path: str | Path, most_bytes: int, of: Callable[[bytes], T]) -> T:
    """Return what `of` makes of a file's content, of which it gets a byte more than it may have.

    Raises ModelUnavailable, in one line with the path, if the file cannot be read or `of` does.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise ModelUnavailable(f"{path}: {error.strerror}") from None
    try:
        return of(content)
    except ModelUnavailable as error:
        raise ModelUnavailable(f"{path}: {error}") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file; a reader finds the old one, if there is one, or the new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
