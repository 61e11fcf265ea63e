"""The files of a recording: a manifest, and shards of token ids in safetensors.

A shard holds the ids of answers only. A prompt is named by its data set and row, so that a
recording can be shared without the texts that it was made from.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from tiercel import shard_folder
from tiercel.shard_folder import Columns, ShardFolder, read_shard, shard_paths

_WHAT = "recording"


class RecordingManifest(BaseModel):
    """What a recording was made with: its answers can be told from no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    model: str
    engine: str
    dtype: str
    numerics_id: str
    weights_digest: str
    tokenizer_fingerprint: str
    vocab_size: int
    max_prompt_tokens: int
    max_new_tokens: int
    temperature: float
    seed: int
    data: dict[str, str]  # data set: sha256 of its file


@dataclass(frozen=True)
class Answer:
    """One recorded answer: the prompt that it continues, and its token ids."""

    job: int  # its place in the order of all that is to be recorded
    data_set: str
    row: int
    num_prompt_tokens: int
    prompt_hash: int  # of the prompt's ids
    temperature: float
    seed: int
    token_ids: tuple[int, ...]


class Recording:
    """A folder of shards. A shard appears whole or not at all."""

    def __init__(self, folder: Path, manifest: RecordingManifest) -> None:
        """Go on with the recording in `folder`, or begin one.

        Raises InvalidRequest that names what differs if the folder holds a recording of another
        kind.
        """
        self.folder, self.manifest = folder, manifest
        self._shards = ShardFolder(folder, manifest, _WHAT)

    def add(self, answers: list[Answer]) -> str:
        """Write a shard; return its file's name."""
        names = sorted(self.manifest.data)
        narrow = self.manifest.vocab_size <= 1 << 16
        columns: Columns = {
            "job": np.array([one.job for one in answers], np.uint32),
            "data_set": np.array([names.index(one.data_set) for one in answers], np.uint16),
            "row": np.array([one.row for one in answers], np.uint32),
            "num_prompt_tokens": np.array([one.num_prompt_tokens for one in answers], np.uint32),
            "prompt_hash": np.array([one.prompt_hash for one in answers], np.uint64),
            "temperature": np.array([one.temperature for one in answers], np.float32),
            "seed": np.array([one.seed for one in answers], np.uint64),
            "length": np.array([len(one.token_ids) for one in answers], np.uint32),
            "token_ids": np.array(
                [id for one in answers for id in one.token_ids], np.uint16 if narrow else np.uint32
            ),
        }
        return self._shards.add(columns)


def read_manifest(folder: Path) -> RecordingManifest:
    """Return the manifest in `folder`; raises InvalidRequest if there is none that fits."""
    return shard_folder.read_manifest(folder, RecordingManifest, _WHAT)


def read_answers(folder: Path) -> list[Answer]:
    """Return the answers of a recording in the order of their jobs; raises InvalidRequest."""
    answers = [answer for part in read_shards(folder).values() for answer in part]
    return sorted(answers, key=lambda answer: answer.job)


def read_shards(folder: Path) -> dict[str, list[Answer]]:
    """Return the answers of each shard by the shard's file name; raises InvalidRequest."""
    names = sorted(read_manifest(folder).data)
    return {path.name: _read_shard(path, names) for path in shard_paths(folder)}


def _read_shard(path: Path, names: list[str]) -> list[Answer]:
    columns = read_shard(path, _WHAT).columns
    ends = np.cumsum(columns["length"], dtype=np.int64)
    return [
        Answer(
            job=int(columns["job"][index]),
            data_set=names[columns["data_set"][index]],
            row=int(columns["row"][index]),
            num_prompt_tokens=int(columns["num_prompt_tokens"][index]),
            prompt_hash=int(columns["prompt_hash"][index]),
            temperature=float(columns["temperature"][index]),
            seed=int(columns["seed"][index]),
            token_ids=tuple(
                columns["token_ids"][end - columns["length"][index] : end].astype(int).tolist()
            ),
        )
        for index, end in enumerate(ends)
    ]
