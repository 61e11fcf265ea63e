"""The keys and values of one sequence, in one buffer that ONNX Runtime works on in place."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tiercel.models.weights import ModelConfig

_FIRST_CAPACITY = 256


class OnnxCache:
    """The memory of one sequence; rolling it back is passing a smaller length to the next pass."""

    def __init__(self, session: onnxruntime.InferenceSession, config: ModelConfig, most: int):
        """Hold up to `most` entries for passes of `session`; the buffer doubles as it fills."""
        self._config = config
        self._most = most
        self._length = 0
        self._binding = session.io_binding()
        self._buffer = self._allocate(min(_FIRST_CAPACITY, most))
        self._bind_buffer()

    @property
    def length(self) -> int:
        """Number of tokens that the cache holds."""
        return self._length

    @property
    def closed(self) -> bool:
        """Whether the memory has been given back."""
        return self._buffer.size == 0

    @property
    def num_bytes(self) -> int:
        """Size of the buffer."""
        return self._buffer.nbytes

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on; `length` is at most the present one."""
        if not 0 <= length <= self._length:
            raise ValueError(f"cannot truncate a cache of {self._length} tokens to {length}")
        self._length = length

    def close(self) -> None:
        """Give the memory back; a closed cache may not be used again."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._buffer = np.empty(0, np.float32)
        self._length = 0

    def advance(self, count: int) -> None:
        """Count `count` entries, which a pass has just written, as held."""
        self._length += count

    def adopt(self, other: "OnnxCache", length: int) -> None:
        """Copy the first `length` tokens of another cache into this one, which is empty."""
        if length > self._buffer.shape[-2]:
            self._grow(length)
        self._buffer[..., :length, :] = other._buffer[..., :length, :]
        self._length = length

    def prepared(self, entries: int) -> onnxruntime.IOBinding:
        """Return the binding for a pass that writes up to `entries` entries behind the last."""
        needed = self._length + entries
        if needed > self._buffer.shape[-2]:
            self._grow(needed)
        return self._binding

    def _grow(self, needed: int) -> None:
        capacity = self._buffer.shape[-2]
        while capacity < needed:
            capacity *= 2
        larger = self._allocate(min(capacity, self._most))
        larger[..., : self._length, :] = self._buffer[..., : self._length, :]
        self._buffer = larger
        self._bind_buffer()

    def _allocate(self, capacity: int) -> NDArray[np.float32]:
        config = self._config
        shape = (config.num_layers, 2, 1, config.num_kv_heads, capacity, config.head_dim)
        return np.zeros(shape, np.float32)

    def _bind_buffer(self) -> None:
        """Bind each layer's keys and values as the past and as the present."""
        for layer, pair in enumerate(self._buffer):
            for kind, part in zip(("key", "value"), pair, strict=True):
                place = ("cpu", 0, np.float32, part.shape, part.ctypes.data)
                self._binding.bind_input(f"past.{layer}.{kind}", *place)
                self._binding.bind_output(f"present.{layer}.{kind}", *place)
