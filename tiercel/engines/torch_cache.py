"""The keys and values of all sequences, in pages of one arena that the torch engine owns.

A cache is a list of page numbers and a length, so rolling back is a number, a copied prefix is
shared pages, and the memory of all sessions together is bounded by the arena. Page 0 belongs to
nobody: rows that only pad a pass are written there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from tiercel.engines.language_model import Cache
from tiercel.errors import Overloaded

PAGE_SIZE = 16  # tokens; attention kernels want masks whose rows are a multiple of 8 long
# One page in so many is left to sequences that are being decoded: it is new ones that are refused.
_KEPT_FROM_PROMPTS = 8


def pages_for(length: int) -> int:
    """Return how many pages hold `length` tokens."""
    return -(-length // PAGE_SIZE)


@dataclass
class Upkeep:
    """What must be done to the arena before the next pass, in this order."""

    cleared: list[int] = field(default_factory=list)  # slots: page * PAGE_SIZE + place in it
    copied_from: list[int] = field(default_factory=list)  # pages
    copied_to: list[int] = field(default_factory=list)


class PagePool:
    """Who owns which page; knows nothing of what is in them."""

    def __init__(self, num_pages: int) -> None:
        """Manage pages 1 to `num_pages` - 1."""
        self._free = list(range(num_pages - 1, 0, -1))
        self._owners = [0] * num_pages
        self._lock = Lock()  # caches are opened by another thread than the one that runs passes
        self.upkeep = Upkeep()

    @property
    def num_free(self) -> int:
        """Number of pages that nobody owns."""
        return len(self._free)

    @property
    def num_pages(self) -> int:
        """Number of pages that there are to own."""
        return len(self._owners) - 1

    @property
    def num_taken(self) -> int:
        """Number of pages that somebody owns."""
        return self.num_pages - self.num_free

    def take(self) -> int:
        """Return a page that nobody owned; the caller has checked that there is one."""
        with self._lock:
            page = self._free.pop()
            self._owners[page] = 1
            return page

    def share(self, pages: Sequence[int]) -> None:
        """Count one owner more for each page."""
        with self._lock:
            for page in pages:
                self._owners[page] += 1

    def give_back(self, pages: Sequence[int]) -> None:
        """Count one owner less for each page; one without owners is free."""
        with self._lock:
            for page in pages:
                self._owners[page] -= 1
                if not self._owners[page]:
                    self._free.append(page)

    def is_shared(self, page: int) -> bool:
        """Return whether a page has several owners and so may not be written."""
        return self._owners[page] > 1

    def drained_upkeep(self) -> Upkeep:
        """Return what is to be done before a pass, which the caller now sees to."""
        upkeep, self.upkeep = self.upkeep, Upkeep()
        return upkeep


class TorchCache:
    """The pages of one sequence."""

    def __init__(self, pool: PagePool, pages: Sequence[int] = (), length: int = 0) -> None:
        """Start with `length` tokens in pages that others own too."""
        pool.share(pages)
        self._pool = pool
        self._length = length
        self.pages = list(pages)
        self.closed = False
        self._ways: list[tuple[Sequence[int], TorchCache]] = []  # of the last tree

    @property
    def length(self) -> int:
        """Number of tokens that the cache holds."""
        return self._length

    def truncate(self, length: int) -> None:
        """Forget every token from position `length` on; `length` is at most the present one."""
        if not 0 <= length <= self._length:
            raise ValueError(f"cannot truncate a cache of {self._length} tokens to {length}")
        kept = pages_for(length)
        self._pool.give_back(self.pages[kept:])
        del self.pages[kept:]
        self._length = length
        ways, self._ways = self._ways, []
        for _, fork in ways[1:]:
            fork.close()

    def fork(self, paths: Sequence[Sequence[int]]) -> "list[TorchCache]":
        """Return for each path of a tree a cache that goes on from here, first this one itself."""
        forks = [TorchCache(self._pool, self.pages, self._length) for _ in paths[1:]]
        self._ways = list(zip(paths, [self, *forks], strict=True)) if paths else []
        return [cache for _, cache in self._ways]

    def check_decided(self) -> None:
        """Raise ValueError if no path of the last tree was kept."""
        if self._ways:
            raise ValueError("the last pass fed a tree: keep one of its paths first")

    def keep(self, path: Sequence[int]) -> None:
        """Keep, of the tree in the last pass, the tokens at these places, and forget the others."""
        wanted = list(path)
        for held, fork in self._ways:
            if list(held[: len(wanted)]) == wanted:
                end = fork.length - len(held) + len(wanted)
                self._pool.share(fork.pages)
                self._pool.give_back(self.pages)
                self.pages, self._length = list(fork.pages), fork.length
                self.truncate(end)
                return
        raise ValueError(f"{wanted} is no path of the last tree")

    def close(self) -> None:
        """Give the memory back; a closed cache may not be used again."""
        if not self.closed:
            self.truncate(0)
            self.closed = True

    def num_pages_to_take(self, count: int) -> int:
        """Return how many pages `grow` will take at most."""
        written = self.pages[self._length // PAGE_SIZE :]
        copied = sum(self._pool.is_shared(page) for page in written)
        return pages_for(self._length + count) - len(self.pages) + copied

    def grow(self, count: int) -> None:
        """Hold `count` tokens more, in pages that are this sequence's own from there on."""
        for place in range(self._length // PAGE_SIZE, len(self.pages)):
            if self._pool.is_shared(self.pages[place]):
                self._copy(place)
        self._length += count
        while len(self.pages) < pages_for(self._length):
            self.pages.append(self._pool.take())

    def clear_from(self, length: int) -> None:
        """Overwrite what stands behind `length` tokens before anyone reads it again.

        A number that is none would spread through masked entries: 0 times NaN is NaN.
        """
        places = range(length, len(self.pages) * PAGE_SIZE)
        self._pool.upkeep.cleared += [
            self.pages[place // PAGE_SIZE] * PAGE_SIZE + place % PAGE_SIZE for place in places
        ]

    def _copy(self, place: int) -> None:
        old, new = self.pages[place], self._pool.take()
        self.pages[place] = new
        self._pool.upkeep.copied_from.append(old)
        self._pool.upkeep.copied_to.append(new)
        self._pool.give_back([old])


def own(cache: Cache) -> TorchCache:
    """Return a cache as this engine's; raises ValueError for one that is not, or is closed."""
    if not isinstance(cache, TorchCache) or cache.closed:
        raise ValueError("this cache is closed or of another engine")
    return cache


def check_room(pool: PagePool, caches: Sequence[TorchCache], counts: Sequence[int]) -> None:
    """Raise Overloaded if the caches cannot all grow by so many tokens; touches none."""
    grown = list(zip(caches, counts, strict=True))
    needed = sum(cache.num_pages_to_take(count) for cache, count in grown)
    prompts = [cache for cache, count in grown if count > PAGE_SIZE]
    room = pool.num_free
    if prompts and pool.num_taken > sum(len(cache.pages) for cache in prompts):
        room -= pool.num_pages // _KEPT_FROM_PROMPTS
    if needed > room:
        raise Overloaded(
            f"the caches are full: {needed * PAGE_SIZE} tokens more do not fit into "
            f"{max(room, 0) * PAGE_SIZE}"
        )
