"""The keys and values of one sequence in half precision, as the native kernels lay them out."""

from collections.abc import Sequence

from tiercel.engines.checks import check_prefix
from tiercel.engines.native_entries import ABREAST, NativeEntries
from tiercel.engines.native_library import SequenceMemory
from tiercel.engines.trees import branches
from tiercel.models.weights import ModelConfig

_FIRST_CAPACITY = 256  # entries


class NativeCache:
    """The memory of one sequence; rolling it back is a smaller length for the next pass.

    While a pass feeds a tree, the path to its first leaf lies here and each other path in a
    branch: a copy of the last few entries, from a multiple of 16 on, and what follows on the path.
    """

    def __init__(self, config: ModelConfig, prefix: "NativeCache | None" = None, length: int = 0):
        """Start empty, or as a copy of the first `length` entries of `prefix`."""
        self._config = config
        self._length = 0
        self._trunk = NativeEntries(config, _FIRST_CAPACITY)
        self._paths: list[list[int]] = []  # of the tree in the last pass, the trunk's own first
        self._branches: list[NativeEntries] = []  # those of the other paths
        self._fork = 0  # entries before the tree
        if prefix is not None:
            check_prefix(prefix.length, length)
            self.reserve(length)
            self._trunk.copy(0, prefix._trunk, 0, length)
        self._length = length

    @property
    def length(self) -> int:
        """Number of tokens that the cache holds."""
        return self._length

    @property
    def closed(self) -> bool:
        """Whether the memory has been given back."""
        return self._trunk.capacity == 0

    @property
    def num_bytes(self) -> int:
        """Size of the buffers."""
        return self._trunk.num_bytes

    @property
    def memory(self) -> list[SequenceMemory]:
        """Where the kernels find the sequence, and then the branches of a tree, one by one.

        Valid until the cache grows or closes.
        """
        trunk, split = self._trunk.memory, self._split
        whole = SequenceMemory(trunk, trunk, self._trunk.capacity)
        return [whole, *(SequenceMemory(trunk, own.memory, split) for own in self._branches)]

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on; `length` is at most the present one."""
        if not 0 <= length <= self._length:
            raise ValueError(f"cannot truncate a cache of {self._length} tokens to {length}")
        self._length = length
        self._paths, self._branches = [], []

    def keep(self, path: Sequence[int]) -> None:
        """Keep, of the tree in the last pass, the tokens at these places, and forget the others."""
        wanted, end = list(path), self._fork + len(path)
        for place, held in enumerate(self._paths):
            if held[: len(wanted)] == wanted:
                if place:
                    own, start = self._branches[place - 1], self._fork
                    self._trunk.copy(start, own, start - self._split, len(wanted))
                self._length = max(self._length, end)
                self.truncate(end)
                return
        raise ValueError(f"{wanted} is no path of the last tree")

    def close(self) -> None:
        """Give the memory back; a closed cache may not be used again."""
        self.truncate(0)
        self._trunk = NativeEntries(self._config, 0)

    def branch(self, parents: Sequence[int]) -> list[list[int]]:
        """Make room for a tree's branches; return the paths, in the order of `memory`."""
        self._paths, self._fork = branches(parents), self._length
        for path in self._paths[1:]:
            own = NativeEntries(self._config, self._length - self._split + len(path))
            own.copy(0, self._trunk, self._split, self._fork - self._split)
            self._branches.append(own)
        return self._paths

    def advance(self, count: int) -> None:
        """Count what a pass has just written, `count` entries or the first path of a tree."""
        self._length += len(self._paths[0]) if self._paths else count

    def reserve(self, count: int) -> None:
        """Make room for `count` entries more; raises ValueError if a tree was not decided on."""
        if self._paths:
            raise ValueError("the last pass fed a tree: keep one of its paths first")
        capacity = self._trunk.capacity
        while capacity < self._length + count:
            capacity *= 2
        if capacity > self._trunk.capacity:
            trunk = NativeEntries(self._config, capacity)
            trunk.copy(0, self._trunk, 0, self._length)
            self._trunk = trunk

    @property
    def _split(self) -> int:
        """Entries that branches share with the trunk."""
        return self._fork // ABREAST * ABREAST
