"""Passes of shapes that come again and again, as CUDA graphs: one launch instead of hundreds.

A steady pass is one grid of narrow steps whose sizes are rounded up to a few, so that a service
soon meets no new ones. A shape is captured when it comes for the second time.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

import torch

from tiercel.engines.torch_cache import Upkeep
from tiercel.engines.torch_decoder import PassInputs
from tiercel.engines.torch_passes import NARROW, Grid, Layout, PassShape, Piece, laid_out_as

Hidden = Callable[[PassInputs], torch.Tensor]

_MOST_SEQUENCES = 256
_MOST_GRAPHS = 96


def rounded_up(size: int) -> int:
    """Return the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..., so at most half as much again."""
    power = 1 << (size - 1).bit_length()
    return power * 3 // 4 if power >= 4 and size <= power * 3 // 4 else power


def is_steady(pieces: Sequence[Piece]) -> bool:
    """Return whether all steps of a pass are narrow and few enough for a graph."""
    widest = max(len(piece.tokens) for piece in pieces)
    return widest <= NARROW and len(pieces) <= _MOST_SEQUENCES


def laid_out_steadily(pieces: Sequence[Piece], upkeep: Upkeep) -> Layout:
    """Return a steady pass as one grid whose sizes are rounded up."""
    grid = Grid(
        rounded_up(len(pieces)),
        rounded_up(max(len(piece.tokens) for piece in pieces)),
        rounded_up(max(len(piece.pages) for piece in pieces)),
    )
    return laid_out_as(pieces, upkeep, grid)


class SteadyPasses:
    """Runs steady passes; on CUDA as graphs, of which it keeps those used last."""

    def __init__(self, hidden: Hidden) -> None:
        """Capture calls of `hidden`, which returns the rows' hidden states."""
        self._hidden = hidden
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
            self._replays[grid] = _Replay(self._hidden, inputs)
        self._replays.move_to_end(grid)
        if len(self._replays) > _MOST_GRAPHS:
            self._replays.popitem(last=False)
        return self._replays[grid](inputs)


class _Replay:
    """One captured pass: reads its integers from a tensor of its own."""

    def __init__(self, hidden: Hidden, inputs: PassInputs) -> None:
        shape = PassShape(inputs.shape.num_rows, inputs.shape.grids)
        self._size = sum(shape.sizes().values())
        self._inputs = PassInputs(shape, inputs.integers[: self._size].clone())
        self._hidden = hidden
        self._graph = None
        if inputs.integers.is_cuda:
            self._graph, self._result = _captured(hidden, self._inputs)

    def __call__(self, inputs: PassInputs) -> torch.Tensor:
        self._inputs.integers.copy_(inputs.integers[: self._size])
        if self._graph is None:
            return self._hidden(self._inputs)
        self._graph.replay()
        return self._result


def _captured(hidden: Hidden, inputs: PassInputs) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
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
    with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = hidden(inputs)
    return graph, result
