"""The keys and values of one sequence in half precision, as the native kernels lay them out."""

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.checks import check_prefix
from tiercel.engines.native_library import SequenceMemory
from tiercel.models.weights import ModelConfig

Halves = NDArray[np.float16]

_FIRST_CAPACITY = 256  # entries, a multiple of 16
_ABREAST = 16  # positions whose keys lie side by side


class NativeCache:
    """The memory of one sequence; rolling it back is a smaller length for the next pass."""

    def __init__(self, config: ModelConfig, prefix: "NativeCache | None" = None, length: int = 0):
        """Start empty, or as a copy of the first `length` entries of `prefix`."""
        self._config = config
        self._length = 0
        self._keys, self._values = self._allocate(_FIRST_CAPACITY)
        if prefix is not None:
            check_prefix(prefix.length, length)
            self.reserve(length)
            self._copy(prefix._keys, prefix._values, length)
        self._length = length

    @property
    def length(self) -> int:
        """Number of tokens that the cache holds."""
        return self._length

    @property
    def closed(self) -> bool:
        """Whether the memory has been given back."""
        return self._keys.size == 0

    @property
    def num_bytes(self) -> int:
        """Size of the buffers."""
        return self._keys.nbytes + self._values.nbytes

    @property
    def memory(self) -> SequenceMemory:
        """Where the kernels find it; valid until the cache grows or closes."""
        return SequenceMemory(self._keys.ctypes.data, self._values.ctypes.data, self._capacity)

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on; `length` is at most the present one."""
        if not 0 <= length <= self._length:
            raise ValueError(f"cannot truncate a cache of {self._length} tokens to {length}")
        self._length = length

    def close(self) -> None:
        """Give the memory back; a closed cache may not be used again."""
        self._keys = self._values = np.empty((0, 0, 0, 0), np.float16)
        self._length = 0

    def advance(self, count: int) -> None:
        """Count `count` entries, which a pass has just written, as held."""
        self._length += count

    def reserve(self, count: int) -> None:
        """Make room for `count` entries more."""
        capacity = self._capacity
        while capacity < self._length + count:
            capacity *= 2
        if capacity > self._capacity:
            keys, values = self._keys, self._values
            self._keys, self._values = self._allocate(capacity)
            self._copy(keys, values, self._length)

    @property
    def _capacity(self) -> int:
        return int(self._values.shape[2])

    def _copy(self, keys: Halves, values: Halves, length: int) -> None:
        """Take over the first `length` entries of other buffers."""
        blocks = -(-length // _ABREAST)
        self._keys[:, :, :blocks] = keys[:, :, :blocks]
        self._values[:, :, :length] = values[:, :, :length]

    def _allocate(self, capacity: int) -> tuple[Halves, Halves]:
        config = self._config
        heads = (config.num_layers, config.num_kv_heads)
        keys = (*heads, capacity // _ABREAST, config.head_dim * _ABREAST)
        values = (*heads, capacity, config.head_dim)
        # Zeros, as sixteen keys are always read at once: what lies behind the last must be finite.
        return np.zeros(keys, np.float16), np.zeros(values, np.float16)
