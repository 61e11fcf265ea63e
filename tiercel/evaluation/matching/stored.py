"""Matches on disk, beside the answers that they are of: `COLUMN/SET/matches/DRAFTER/`."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from tiercel.errors import InvalidRequest
from tiercel.evaluation.matching.choices import Matches
from tiercel.evaluation.outcomes import Outcome
from tiercel.shard_folder import (
    MANIFEST_FILE,
    Columns,
    Shard,
    ShardFolder,
    read_manifest,
    read_shard,
    shard_paths,
)

_WHAT, _FOLDER = "set of matches", "matches"


class MatchesManifest(BaseModel):
    """Whose choices were held against which answers; another drafter under the name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    column: str
    set_name: str
    data_digest: str
    set_digest: str
    drafter: str
    digest: str  # hex sha256 of what the drafter's choices depend on
    tokenizer_fingerprint: str  # of the drafter; empty for one that takes any ids
    root_digest: str  # of the weights that answered


class MatchStore:
    """Adds matches of one drafter with the answers in one folder of the matrix."""

    def __init__(self, folder: Path, manifest: MatchesManifest) -> None:
        """Go on with what is there; raises InvalidRequest if another drafter made it."""
        own = folder / _FOLDER / manifest.drafter
        self._shards = ShardFolder(own, manifest, _WHAT)
        self.done = set(_read(own))

    def add(self, found: Sequence[tuple[Outcome, Matches]]) -> None:
        """Write the matches of some answers."""
        if not found:
            return
        flags = np.concatenate([matches.flags for _, matches in found])
        columns: Columns = {
            "prompt_hash": np.array([one.prompt_hash for one, _ in found], np.uint64),
            "answer_hash": np.array([answer_hash(one) for one, _ in found], np.uint64),
            "num_tokens": np.array([len(one.token_ids) for one, _ in found], np.uint32),
            "matches": np.packbits(flags),
            "probs": np.concatenate([matches.probs for _, matches in found]),
        }
        ids = json.dumps([one.prompt_id for one, _ in found])
        self._shards.add(columns, {"prompt_ids": ids})
        self.done |= {one.prompt_id for one, _ in found}


def with_matches(folder: Path, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return a folder's outcomes with what is known of drafters' choices.

    Raises InvalidRequest for matches that are not of these answers.
    """
    found = list(outcomes)
    for manifest in sorted((folder / _FOLDER).glob(f"*/{MANIFEST_FILE}")):
        drafter = read_manifest(manifest.parent, MatchesManifest, _WHAT).drafter
        known = _read(manifest.parent)
        found = [_joined(one, drafter, known.get(one.prompt_id), manifest.parent) for one in found]
    return found


_Stored = tuple[int, Matches]  # the hash of the answer, and its matches


def _joined(one: Outcome, drafter: str, stored: _Stored | None, folder: Path) -> Outcome:
    if stored is None or one.sample:
        return one
    hashed, matches = stored
    if hashed != answer_hash(one):
        raise InvalidRequest(_WHAT, str(folder), f"is of another answer to {one.prompt_id}")
    return replace(
        one,
        matches={**one.matches, drafter: matches.flags},
        match_probs={**one.match_probs, drafter: matches.probs},
    )


def answer_hash(one: Outcome) -> int:
    """Return the first 64 bits of the sha256 of an answer's ids."""
    digest = hashlib.sha256(np.array(one.token_ids, "<u4").tobytes()).digest()
    return int.from_bytes(digest[:8], "big")


def _read(folder: Path) -> dict[str, _Stored]:
    found: dict[str, _Stored] = {}
    for path in shard_paths(folder):
        found |= _stored_in(read_shard(path, _WHAT))
    return found


def _stored_in(shard: Shard) -> dict[str, _Stored]:
    columns = shard.columns
    ends = np.cumsum(columns["num_tokens"], dtype=np.int64)
    flags = np.unpackbits(columns["matches"].astype(np.uint8), count=int(ends[-1])).astype(np.bool_)
    probs = columns["probs"].astype(np.float16)
    hashes = columns["answer_hash"].tolist()
    parts = [
        Matches(one, other)
        for one, other in zip(np.split(flags, ends[:-1]), np.split(probs, ends[:-1]), strict=True)
    ]
    ids = json.loads(shard.texts["prompt_ids"])
    return dict(zip(ids, zip(hashes, parts, strict=True), strict=True))
