"""Trees of tokens as several paths, each in pages of its own from where the tree begins.

Tokens that paths share are run once for each: that needs no mask of the tree, and where trees pay
a row more costs next to nothing.
"""

from collections.abc import Sequence

import numpy as np

from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.engines.torch_cache import own
from tiercel.engines.trees import branches


class Paths:
    """The steps of a call, each tree as steps on copies of its cache."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Fork the caches of trees; raises ValueError for one whose last tree is undecided."""
        self._trees = steps
        self._paths = [[] if step.parents is None else branches(step.parents) for step in steps]
        self.steps: list[Step] = []
        for step in steps:
            own(step.cache).check_decided()
        for step, paths in zip(steps, self._paths, strict=True):
            caches = own(step.cache).fork(paths)
            straight = [_along(step, *way) for way in zip(paths, caches, strict=True)]
            self.steps += straight or [step]

    def joined(self, results: Sequence[Logits]) -> list[Logits]:
        """Return each tree's rows, and fill its hidden states, from those of `steps`."""
        done, found = 0, []
        for step, paths in zip(self._trees, self._paths, strict=True):
            mine = slice(done, done + max(1, len(paths)))
            found.append(
                _of_tree(step, paths, self.steps[mine], results[mine]) if paths else results[done]
            )
            done = mine.stop
        return found

    def drop(self) -> None:
        """Forget the forks."""
        for step in self._trees:
            own(step.cache).truncate(step.cache.length)


def _along(step: Step, path: Sequence[int], cache: Cache) -> Step:
    hidden = (
        None if step.hidden is None else np.empty((len(path), step.hidden.shape[1]), np.float32)
    )
    return Step(cache, [step.tokens[place] for place in path], len(path), hidden)


def _of_tree(
    tree: Step, paths: Sequence[Sequence[int]], steps: Sequence[Step], results: Sequence[Logits]
) -> Logits:
    """Return the rows that the tree asks for; a token's row is that of the first path it is on."""
    where: dict[int, tuple[int, int]] = {}
    for number, path in enumerate(paths):
        for row, place in enumerate(path):
            where.setdefault(place, (number, row))
    count = len(tree.tokens)
    wanted = [where[place] for place in range(count - tree.num_logits, count)]
    if tree.hidden is not None:
        for to, (number, row) in enumerate(wanted):
            hidden = steps[number].hidden
            assert hidden is not None, "each path of a tree has the hidden states asked of it"
            tree.hidden[to] = hidden[row]
    rows = [results[number][row] for number, row in wanted]
    return np.stack(rows) if rows else results[0][:0]
