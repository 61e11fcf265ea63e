"""The file of an n-gram table: safetensors, checked whole when opened, then mapped read-only.

Contexts are hashed to 64 bits. The upper half of the mixed hash picks a bucket, the lowest 16 bits
mark the context in it; the entries of a bucket lie side by side, without gaps. So an entry takes
6 bytes, and one context in some ten thousand that are not there is taken for one that is.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialized

from tiercel.errors import ModelUnavailable
from tiercel.whole_files import write_whole

_FORMAT = "tiercel-ngram-1"
ENTRIES_PER_BUCKET = 4  # on average
MAX_ORDER = 8
_MASK = (1 << 64) - 1
_STEP, _MIX = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9  # odd constants of splitmix64
_DTYPES = {"offsets": ("uint32",), "marks": ("uint16",), "tokens": ("uint16", "uint32")}
_DTYPES["confidences"] = ("uint8",)

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class NgramHeader:
    """What a table says of itself."""

    model: str  # whose outputs were counted
    tokenizer_fingerprint: str
    vocab_size: int
    max_order: int  # tokens of the longest context
    num_tokens: int  # that were counted


@dataclass(frozen=True)
class NgramArrays:
    """A table's columns; entry i of bucket b has offsets[b] <= i < offsets[b + 1]."""

    offsets: NDArray[np.uint32]  # shape [num_buckets + 1]
    marks: NDArray[np.uint16]  # shape [num_entries], as the next two
    tokens: NDArray[np.uint16] | NDArray[np.uint32]
    confidences: NDArray[np.uint8]  # in 255ths

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def key_of(key: int, token: int) -> int:
    """Return the key of a context that has `token` before the context of `key`; 0 is the empty."""
    return (key * _STEP + token + 1) & _MASK


def keys_of(keys: Keys, tokens: NDArray[np.uint64]) -> Keys:
    """Return `key_of` for each pair."""
    return keys * np.uint64(_STEP) + tokens + np.uint64(1)


def place_of(key: int, num_buckets: int) -> tuple[int, int]:
    """Return the bucket and the mark of a context."""
    mixed = ((key ^ key >> 32) * _MIX) & _MASK
    return (mixed >> 32) * num_buckets >> 32, mixed & 0xFFFF


def places_of(keys: Keys, num_buckets: int) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Return `place_of` for each key."""
    mixed = (keys ^ keys >> np.uint64(32)) * np.uint64(_MIX)
    buckets = (mixed >> np.uint64(32)) * np.uint64(num_buckets) >> np.uint64(32)
    return buckets.astype(np.int64), (mixed & np.uint64(0xFFFF)).astype(np.uint16)


def save(path: Path, header: NgramHeader, arrays: NgramArrays) -> None:
    """Write a table; a reader finds the old file or the new one, whole."""
    columns = {name: np.ascontiguousarray(column) for name, column in arrays.columns().items()}
    about = {name: str(value) for name, value in asdict(header).items()}
    about |= {"format": _FORMAT, "sha256": _digest(columns)}
    write_whole(path, serialized(columns, metadata=about))


def mapped(path: Path) -> tuple[NgramHeader, NgramArrays]:
    """Map the table at `path`, one copy for all processes; raises ModelUnavailable if it is none.

    Everything is read once and checked: the sizes, the checksum, that no look-up leads outside.
    """
    try:
        with safe_open(path, framework="numpy") as file:  # checks that the parts fill the file
            about = file.metadata() or {}
        header = _header(about)
        columns = _columns(path)
        _check(header, columns, about)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(f"{path} is no n-gram table: {error}") from error
    return header, NgramArrays(**columns)


def _columns(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:
        start = int.from_bytes(file.read(8), "little")
        parts = json.loads(file.read(start))
    types = {"U32": "uint32", "U16": "uint16", "U8": "uint8"}
    return {
        name: np.memmap(
            path,
            dtype=types[parts[name]["dtype"]],
            mode="r",
            offset=8 + start + parts[name]["data_offsets"][0],
            shape=tuple(parts[name]["shape"]),
        )
        for name in _DTYPES
    }


def _header(about: Mapping[str, str]) -> NgramHeader:
    if about.get("format") != _FORMAT:
        raise ValueError(f"its format is {about.get('format')!r}, not {_FORMAT!r}")
    numbers = {name: int(about[name]) for name in ("vocab_size", "max_order", "num_tokens")}
    return NgramHeader(about["model"], about["tokenizer_fingerprint"], **numbers)


def _check(header: NgramHeader, columns: dict[str, NDArray[Any]], about: Mapping[str, str]) -> None:
    offsets, tokens = columns["offsets"], columns["tokens"]
    wrong = [name for name, column in columns.items() if column.dtype.name not in _DTYPES[name]]
    wrong += [name for name, column in columns.items() if column.ndim != 1]
    wrong += [name for name in _DTYPES if name != "offsets" and len(columns[name]) != len(tokens)]
    if wrong or not 1 <= header.max_order <= MAX_ORDER:
        raise ValueError(f"its {', '.join(wrong) or 'max_order'} cannot be")
    if _digest(columns) != about["sha256"]:
        raise ValueError("its checksum is another")
    if offsets[0] != 0 or offsets[-1] != len(tokens) or np.any(offsets[1:] < offsets[:-1]):
        raise ValueError("its buckets do not follow each other")
    if int(tokens.max(initial=0)) >= header.vocab_size:
        raise ValueError("it names tokens outside its vocabulary")


def _digest(columns: Mapping[str, NDArray[Any]]) -> str:
    whole = hashlib.sha256()
    for name in sorted(columns):
        whole.update(columns[name].data)
    return whole.hexdigest()
