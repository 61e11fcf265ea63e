"""Buffers for keys and values, as the native kernels lay them out."""

import numpy as np

from tiercel.engines.native_library import Entries
from tiercel.models.weights import ModelConfig

ABREAST = 16
"""Positions whose keys lie side by side."""


class NativeEntries:
    """Room for some tokens' keys and values at every layer, in half precision."""

    def __init__(self, config: ModelConfig, capacity: int) -> None:
        """Make room for `capacity` tokens or a few more."""
        blocks, dim = -(-capacity // ABREAST), config.head_dim
        heads = (config.num_layers, config.num_kv_heads)
        # Zeros, as sixteen keys are always read at once: what lies behind the last must be finite.
        self._keys = np.zeros((*heads, blocks, dim, ABREAST), np.float16)
        self._values = np.zeros((*heads, blocks * ABREAST, dim), np.float16)
        self.capacity = blocks * ABREAST

    @property
    def num_bytes(self) -> int:
        """Size of the buffers."""
        return self._keys.nbytes + self._values.nbytes

    @property
    def memory(self) -> Entries:
        """Where the kernels find them."""
        return Entries(self._keys.ctypes.data, self._values.ctypes.data, self.capacity)

    def copy(self, start: int, other: "NativeEntries", other_start: int, count: int) -> None:
        """Take over `count` entries of `other`; the two starts are a multiple of 16 apart."""
        shift = other_start - start
        self._values[:, :, start : start + count] = other._values[
            :, :, other_start : other_start + count
        ]
        position, end = start, start + count
        while position < end:
            block, place = divmod(position, ABREAST)
            width = min(ABREAST - place, end - position)
            places = slice(place, place + width)
            self._keys[:, :, block, :, places] = other._keys[
                :, :, block + shift // ABREAST, :, places
            ]
            position += width
