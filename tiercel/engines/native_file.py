"""One file of tensors that processes map into memory together, and an index beside it."""

import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DATA, _INDEX = "tensors.bin", "index.json"
_ALIGNMENT = 4096


class TensorWriter:
    """Writes tensors one after the other into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = (folder / _DATA).open("wb")
        self._index: dict[str, dict[str, Any]] = {}

    def add(self, name: str, values: NDArray[Any], **about: int) -> None:
        """Append a tensor; `about` is kept with it."""
        self._data.write(b"\0" * (-self._data.tell() % _ALIGNMENT))
        self._index[name] = {"offset": self._data.tell(), **about}
        self._data.write(np.ascontiguousarray(values).data)

    def close(self) -> None:
        """Write the index; without it there are no tensors."""
        self._data.close()
        (self._folder / _INDEX).write_text(json.dumps(self._index), encoding="utf-8")


class TensorFile:
    """Tensors mapped into memory, read-only; pages are shared with every other reader."""

    def __init__(self, folder: Path) -> None:
        self._index: dict[str, dict[str, int]] = json.loads(
            (folder / _INDEX).read_text(encoding="utf-8")
        )
        with (folder / _DATA).open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._start = int(np.frombuffer(self._map, np.uint8).ctypes.data)

    def __contains__(self, name: str) -> bool:
        """Return whether there is such a tensor."""
        return name in self._index

    def address(self, name: str) -> int:
        """Return where a tensor lies, as long as this object lives."""
        return self._start + self._index[name]["offset"]

    def about(self, name: str) -> dict[str, int]:
        """Return what was kept with a tensor."""
        return {key: value for key, value in self._index[name].items() if key != "offset"}
