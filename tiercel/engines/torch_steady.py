"""Passes of shapes that come again and again, as CUDA graphs: one launch instead of hundreds.

A steady pass is one grid of narrow steps whose sizes are rounded up to a few, so that a service
soon meets no new ones. A shape is captured when it comes for the second time.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tiercel.engines.torch_decoder import PassInputs
from tiercel.engines.torch_passes import NARROW, Grid, PassShape, Piece

Hidden = Callable[[PassInputs], torch.Tensor]

_MOST_SEQUENCES = 256
_MOST_GRAPHS = 96
# Padding costs little next to reading the weights up to so many rows, and pages of caches; beyond,
# a pass may be padded to so many times its rows and pages.
_FREE_ROWS, _MOST_ROWS = 64, 2
_FREE_PAGES, _MOST_PAGES = 512, 3


def rounded_up(size: int) -> int:
    """Return the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., so at most half as much again."""
    power = 1 << (size - 1).bit_length()
    return power * 3 // 4 if power >= 4 and size <= power * 3 // 4 else power


def steady_grid(pieces: Sequence[Piece]) -> Grid | None:
    """Return the grid as which a pass is steady, its sizes rounded up; None if it is not.

    Its steps must be narrow, few enough for a graph, and not too different from each other.
    """
    widths = [len(piece.tokens) for piece in pieces]
    pages = [len(piece.pages) for piece in pieces]
    if max(widths) > NARROW or len(pieces) > _MOST_SEQUENCES:
        return None
    sequences, width, num_pages = map(rounded_up, (len(pieces), max(widths), max(pages)))
    if sequences * width > max(_FREE_ROWS, _MOST_ROWS * sum(widths)):
        return None
    if sequences * num_pages > max(_FREE_PAGES, _MOST_PAGES * sum(pages)):
        return None
    return Grid(sequences, width, num_pages)


class SteadyPasses:
    """Runs steady passes; on CUDA as graphs, of which it keeps those used last."""

    def __init__(self, hidden: Hidden) -> None:
        """Capture calls of `hidden`, which returns the rows' hidden states."""
        self._hidden = hidden
        # Graphs never run at once, so they share the memory between their results.
        self._memory = torch.cuda.graph_pool_handle() if torch.cuda.is_available() else None
        self._seen: Counter[Grid] = Counter()
        self._replays: OrderedDict[Grid, _Replay] = OrderedDict()

    @property
    def num_captured(self) -> int:
        """Number of shapes that are replayed."""
        return len(self._replays)

    def __call__(self, inputs: PassInputs) -> torch.Tensor:
        """Return what `hidden` returns; valid until the next call."""
        grid = inputs.shape.grids[0]
        if grid not in self._replays:
            self._seen[grid] += 1
            if self._seen[grid] == 1:
                return self._hidden(inputs)
            self._replays[grid] = _Replay(self._hidden, inputs, self._memory)
        self._replays.move_to_end(grid)
        if len(self._replays) > _MOST_GRAPHS:
            self._replays.popitem(last=False)
        return self._replays[grid](inputs)


class _Replay:
    """One captured pass: reads its integers from a tensor of its own."""

    def __init__(self, hidden: Hidden, inputs: PassInputs, memory: Any) -> None:
        shape = PassShape(inputs.shape.num_rows, inputs.shape.grids)
        self._size = sum(shape.sizes().values())
        self._inputs = PassInputs(shape, inputs.integers[: self._size].clone())
        self._hidden = hidden
        self._graph = None
        if inputs.integers.is_cuda:
            self._graph, self._result = _captured(hidden, self._inputs, memory)

    def __call__(self, inputs: PassInputs) -> torch.Tensor:
        self._inputs.integers.copy_(inputs.integers[: self._size])
        if self._graph is None:
            return self._hidden(self._inputs)
        self._graph.replay()
        return self._result


def _captured(
    hidden: Hidden, inputs: PassInputs, memory: Any
) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
    """Return a graph and the tensor that each replay writes.

    The run before the capture, which sets up what libraries set up once, writes the same entries
    to the caches as the replay that follows.
    """
    device = inputs.integers.device
    present = torch.cuda.current_stream(device)
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(present)
    with torch.cuda.stream(side):
        hidden(inputs)
    present.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    capture = torch.cuda.graph(graph, pool=memory, capture_error_mode="thread_local")
    with torch.cuda.device(device), capture:
        result = hidden(inputs)
    return graph, result
