"""The outcome matrix on disk: a folder for each column and set, safetensors shards in it.

What was collected is never asked again, however the run that did it ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict

from tiercel.errors import InvalidRequest
from tiercel.evaluation.matching.stored import with_matches
from tiercel.evaluation.outcomes import Outcome, columns_of, outcomes_of
from tiercel.shard_folder import (
    MANIFEST_FILE,
    ShardFolder,
    read_manifest,
    read_shard,
    shard_paths,
)

SCHEMA = 1
_WHAT = "matrix"
# Shards with fewer outcomes than this are put together once they have as many; others stay as
# they are for ever, which keeps a repository's history short.
_FULL = 256


class TierIdentity(BaseModel):
    """What stands behind a tier's name in a plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    engine: str
    dtype: str
    weights_digest: str
    tokenizer_fingerprint: str


class CellsManifest(BaseModel):
    """What the outcomes of one column on one set have in common, numerics aside."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA
    column: str
    set_name: str
    data_digest: str  # hex sha256 of the set's file
    set_digest: str  # of how it is asked and scored
    tiers: dict[str, TierIdentity]


@dataclass(frozen=True)
class Cells:
    """All that is known of one column on one set."""

    folder: Path
    manifest: CellsManifest
    outcomes: tuple[Outcome, ...]


class CellStore:
    """Adds outcomes of one column on one set."""

    def __init__(self, root: Path, folder_name: str, manifest: CellsManifest) -> None:
        """Go on with what is there; raises InvalidRequest if it was made in another way."""
        self._folder = root / folder_name / manifest.set_name
        self._shards = ShardFolder(self._folder, manifest, _WHAT)
        self.done = {one.cell for one in read_cells(self._folder).outcomes}

    def add(self, outcomes: list[Outcome]) -> None:
        """Write outcomes; they are on disk when this returns."""
        if outcomes:
            self._shards.add(*columns_of(outcomes))
            self.done |= {one.cell for one in outcomes}
            self._fold()

    def _fold(self) -> None:
        """Put small shards together when that fills one.

        A kill in between leaves outcomes twice, which readers do not count.
        """
        read = {path: outcomes_of(read_shard(path, _WHAT)) for path in shard_paths(self._folder)}
        small = {path: outcomes for path, outcomes in read.items() if len(outcomes) < _FULL}
        if sum(map(len, small.values())) < _FULL:
            return
        self._shards.add(*columns_of(_once(one for part in small.values() for one in part)))
        for path in small:
            path.unlink()


def read_matrix(root: Path) -> list[Cells]:
    """Return all that a matrix holds, matches of drafters too.

    Raises InvalidRequest for a folder that holds none.
    """
    folders = sorted(path.parent for path in root.glob(f"*/*/{MANIFEST_FILE}"))
    if not folders:
        raise InvalidRequest(_WHAT, str(root), "holds no outcomes")
    return [_with_matches(read_cells(folder)) for folder in folders]


def read_cells(folder: Path) -> Cells:
    """Return what one column's folder of one set holds, each cell once."""
    manifest = read_manifest(folder, CellsManifest, _WHAT)
    read = (one for path in shard_paths(folder) for one in outcomes_of(read_shard(path, _WHAT)))
    return Cells(folder, manifest, tuple(_once(read)))


def _with_matches(cells: Cells) -> Cells:
    return replace(cells, outcomes=tuple(with_matches(cells.folder, cells.outcomes)))


def only_run(root: Path) -> FileLock:
    """Return a lock that is held by this process; raises InvalidRequest if another one has it."""
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InvalidRequest("out", str(root), "another run collects into this folder") from None
    return lock


def _once(outcomes: Iterator[Outcome]) -> list[Outcome]:
    by_cell: dict[tuple[str, int], Outcome] = {}
    for one in outcomes:
        by_cell.setdefault(one.cell, one)
    return list(by_cell.values())
