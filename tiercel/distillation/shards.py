"""The files of a recording: a manifest, and shards of token ids in safetensors.

A shard holds the ids of answers only. A prompt is named by its data set and row, so that a
recording can be shared without the texts that it was made from.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from tiercel.errors import InvalidRequest

MANIFEST_FILE = "manifest.json"
_SHARD = "shard-{:05d}.safetensors"


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
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / MANIFEST_FILE).exists():
            _check_same(read_manifest(folder), manifest, folder)
        else:
            write_whole(folder / MANIFEST_FILE, manifest.model_dump_json(indent=2).encode() + b"\n")
        self._num_shards = len(_shards(folder))

    def add(self, answers: list[Answer]) -> str:
        """Write a shard; return its file's name."""
        names = sorted(self.manifest.data)
        narrow = self.manifest.vocab_size <= 1 << 16
        columns: dict[str, NDArray[np.generic]] = {
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
        name = _SHARD.format(self._num_shards)
        write_whole(self.folder / name, save(columns))
        self._num_shards += 1
        return name


def read_manifest(folder: Path) -> RecordingManifest:
    """Return the manifest in `folder`; raises InvalidRequest if there is none that fits."""
    path = folder / MANIFEST_FILE
    try:
        return RecordingManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = " ".join(str(error).split())
        raise InvalidRequest("recording", str(folder), f"has no manifest: {why}") from None


def read_answers(folder: Path) -> list[Answer]:
    """Return the answers of a recording in the order of their jobs; raises InvalidRequest."""
    answers = [answer for part in read_shards(folder).values() for answer in part]
    return sorted(answers, key=lambda answer: answer.job)


def read_shards(folder: Path) -> dict[str, list[Answer]]:
    """Return the answers of each shard by the shard's file name; raises InvalidRequest."""
    names = sorted(read_manifest(folder).data)
    return {path.name: _read_shard(path, names) for path in _shards(folder)}


def _read_shard(path: Path, names: list[str]) -> list[Answer]:
    try:
        columns = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InvalidRequest("recording", str(path), f"cannot be read: {error}") from None
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


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob(_SHARD.replace("{:05d}", "*")))


def _check_same(old: RecordingManifest, new: RecordingManifest, folder: Path) -> None:
    for field in RecordingManifest.model_fields:
        was, now = getattr(old, field), getattr(new, field)
        if was != now:
            raise InvalidRequest(
                field, now, f"{folder} holds a recording with {was!r}: name another folder"
            )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
