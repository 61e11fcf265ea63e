"""A folder of safetensors shards under one JSON manifest: results that are added to for days.

A shard appears whole or not at all, so a kill loses only what was not yet handed over. What the
columns of a shard mean is the business of whoever writes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from tiercel.errors import InvalidRequest
from tiercel.whole_files import write_whole

MANIFEST_FILE = "manifest.json"
_SHARD = "shard-{:05d}.safetensors"

Columns = dict[str, NDArray[np.generic]]
Manifest = TypeVar("Manifest", bound=BaseModel)


@dataclass(frozen=True)
class Shard:
    """One file's columns, and the texts that stand in its header."""

    path: Path
    columns: Columns
    texts: dict[str, str]


class ShardFolder(Generic[Manifest]):
    """A folder of shards that all were made under one manifest."""

    def __init__(self, folder: Path, manifest: Manifest, what: str) -> None:
        """Go on with the folder, or begin it; `what` names its content in messages.

        Raises InvalidRequest that names what differs if the folder has another manifest.
        """
        self.folder, self.manifest = folder, manifest
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST_FILE).exists():
            old = read_manifest(folder, type(manifest), what)
            _check_same(old, manifest, f"{folder} holds a {what}")
        else:
            write_whole(folder / MANIFEST_FILE, manifest.model_dump_json(indent=2).encode() + b"\n")

    def add(self, columns: Columns, texts: Mapping[str, str] | None = None) -> str:
        """Write a shard behind the last one; return its file's name."""
        last = max(map(_number, shard_paths(self.folder)), default=-1)
        name = _SHARD.format(last + 1)
        write_whole(self.folder / name, save(columns, dict(texts) if texts else None))
        return name


def read_manifest(folder: Path, kind: type[Manifest], what: str) -> Manifest:
    """Return the manifest in `folder`; raises InvalidRequest if there is none of that kind."""
    try:
        return kind.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        why = " ".join(str(error).split())
        raise InvalidRequest(what, str(folder), f"has no manifest: {why}") from None


def read_shard(path: Path, what: str) -> Shard:
    """Return what a shard's file holds; raises InvalidRequest if it cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            columns = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Shard(path, columns, file.metadata() or {})
    except (OSError, SafetensorError) as error:
        why = f"cannot be read in {path.parent}: {error}"
        raise InvalidRequest(what, path.name, why) from None


def shard_paths(folder: Path) -> list[Path]:
    """Return the files of a folder's shards in the order in which they were written."""
    return sorted(folder.glob(_SHARD.replace("{:05d}", "*")), key=_number)


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _check_same(old: BaseModel, new: BaseModel, holder: str) -> None:
    for field in type(new).model_fields:
        was, now = getattr(old, field), getattr(new, field)
        if was != now:
            raise InvalidRequest(field, now, f"{holder} with {was!r}: name another folder")
