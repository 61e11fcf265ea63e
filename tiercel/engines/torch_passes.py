"""From steps of different lengths to the integers that one forward pass needs.

A pass works on packed rows, one for each token; only attention sees a grid of [sequences, width].
Steps of up to `NARROW` tokens on caches of about one length share a grid, each wider one has a grid
of its own. Where all rows
are one full grid there is nothing to pack: the rows *are* the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiercel.engines.language_model import Step
from tiercel.engines.torch_cache import PAGE_SIZE, Upkeep, pages_for

Integers = NDArray[np.int64]

NARROW = 16  # tokens: blocks of drafts and lone tokens
_SHORT = 15  # pages: caches up to here count as alike


class Grid(NamedTuple):
    """What attention works on at once: sequences, tokens of each, pages of the longest."""

    num_sequences: int
    width: int
    num_pages: int


@dataclass(frozen=True)
class PassShape:
    """Sizes of the parts of a pass's integers; equal on all ranks of a tensor-parallel model."""

    num_rows: int
    grids: tuple[Grid, ...]
    num_wanted: int = 0
    num_cleared: int = 0
    num_copied: int = 0

    @property
    def is_grid(self) -> bool:
        """Whether the rows are those of one grid, in order, padding included."""
        return len(self.grids) == 1 and self.num_rows == self.grids[0][0] * self.grids[0][1]

    def sizes(self) -> dict[str, int]:
        """Return the parts in the order in which they stand, by name, with their lengths."""
        parts = dict.fromkeys(("ids", "positions", "slots"), self.num_rows)
        for number, grid in enumerate(self.grids):
            parts[f"tables {number}"] = grid.num_sequences * grid.num_pages
            if not self.is_grid:
                parts[f"rows {number}"] = grid.num_sequences * grid.width
        parts["back"] = 0 if self.is_grid else self.num_rows
        parts["wanted"] = self.num_wanted
        parts["cleared"] = self.num_cleared
        parts["copied_from"] = parts["copied_to"] = self.num_copied
        return parts


@dataclass(frozen=True)
class Piece:
    """A run of one step's tokens within one pass; the last `num_wanted` rows are asked for."""

    step: int  # which of the call's steps
    tokens: Sequence[int]
    start: int  # position of the first token
    pages: Sequence[int]
    num_wanted: int


def cut_into_passes(
    steps: Sequence[Step], starts: Sequence[int], pages: Sequence[Sequence[int]], max_rows: int
) -> list[list[Piece]]:
    """Return the pieces of each pass, in order: one pass unless there are over `max_rows` tokens.

    The last row of a step is always wanted: it shows whether its numbers are numbers.
    """
    passes: list[list[Piece]] = [[]]
    room = max_rows
    for number, step in enumerate(steps):
        count, done = len(step.tokens), 0
        first_wanted = count - max(step.num_logits, 1)
        while done < count:
            if not room:
                passes.append([])
                room = max_rows
            end = min(done + room, count)
            wanted = max(end - max(first_wanted, done), 0)
            tokens, start = step.tokens[done:end], starts[number] + done
            held = pages[number][: pages_for(start + len(tokens))]
            passes[-1].append(Piece(number, tokens, start, held, wanted))
            room -= end - done
            done = end
    return passes


@dataclass
class Layout:
    """The integers of one pass, and its pieces in the order of the wanted rows."""

    shape: PassShape
    integers: Integers
    pieces: list[Piece] = field(default_factory=list)


def laid_out(pieces: Sequence[Piece], upkeep: Upkeep) -> Layout:
    """Return the pieces as packed rows without padding, or as one grid if all are equally wide."""
    groups = _grouped(pieces)
    grids = [_Filled(group, _grid_of(group)) for group in groups]
    if len(grids) == 1 and grids[0].is_full:
        return laid_out_as(groups[0], upkeep, grids[0].grid)
    offsets = np.cumsum([0, *(grid.num_rows for grid in grids)])
    cells = np.cumsum([0, *(grid.valid.size for grid in grids)])
    parts = [
        *(np.concatenate([getattr(grid, name)[grid.valid] for grid in grids]) for name in _ROWS),
        *(
            part
            for grid, offset in zip(grids, offsets, strict=False)
            for part in (grid.tables.ravel(), grid.rows(int(offset)).ravel())
        ),
        np.concatenate(
            [np.flatnonzero(grid.valid) + cell for grid, cell in zip(grids, cells, strict=False)]
        ),
    ]
    in_order = [piece for group in groups for piece in group]
    wanted = _wanted(in_order, np.cumsum([0, *(len(piece.tokens) for piece in in_order)]))
    shape = PassShape(int(offsets[-1]), tuple(grid.grid for grid in grids))
    return _finished(shape, parts, wanted, upkeep, in_order)


def laid_out_as(pieces: Sequence[Piece], upkeep: Upkeep, grid: Grid) -> Layout:
    """Return the pieces as one grid of the given shape, filled up with padding."""
    filled = _Filled(pieces, grid)
    parts = [*(getattr(filled, name).ravel() for name in _ROWS), filled.tables.ravel()]
    starts = np.arange(len(pieces) + 1) * grid.width
    shape = PassShape(grid.num_sequences * grid.width, (grid,))
    return _finished(shape, parts, _wanted(pieces, starts), upkeep, list(pieces))


_ROWS = ("ids", "positions", "slots")


def _grouped(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return the pieces of each grid: narrow ones by length, up to four times the shortest."""
    narrow: dict[int, list[Piece]] = {}
    for piece in pieces:
        if len(piece.tokens) <= NARROW:
            narrow.setdefault(max(len(piece.pages), _SHORT).bit_length() // 2, []).append(piece)
    return [*narrow.values(), *([piece] for piece in pieces if len(piece.tokens) > NARROW)]


def _grid_of(pieces: Sequence[Piece]) -> Grid:
    width = max(len(piece.tokens) for piece in pieces)
    return Grid(len(pieces), width, max(len(piece.pages) for piece in pieces))


class _Filled:
    """One grid's integers, each [sequences, width]; padding has id 0 and writes to page 0."""

    def __init__(self, pieces: Sequence[Piece], grid: Grid) -> None:
        self.grid = grid
        sequences, width, num_pages = grid
        widths = np.zeros(sequences, np.int64)
        widths[: len(pieces)] = [len(piece.tokens) for piece in pieces]
        starts = np.zeros(sequences, np.int64)
        starts[: len(pieces)] = [piece.start for piece in pieces]
        columns = np.arange(width)
        self._last = np.minimum(columns, np.maximum(widths - 1, 0)[:, None])
        self._widths = widths
        self.valid = columns < widths[:, None]
        self.ids = np.zeros((sequences, width), np.int64)
        self.tables = np.zeros((sequences, num_pages), np.int64)
        for row, piece in enumerate(pieces):
            self.ids[row, : len(piece.tokens)] = piece.tokens
            self.tables[row, : len(piece.pages)] = piece.pages
        self.positions = starts[:, None] + self._last  # padding repeats the last one
        pages = np.take_along_axis(self.tables, self.positions // PAGE_SIZE, axis=1)
        self.slots = np.where(self.valid, pages * PAGE_SIZE + self.positions % PAGE_SIZE, 0)

    @property
    def num_rows(self) -> int:
        return int(self._widths.sum())

    @property
    def is_full(self) -> bool:
        return bool(self.valid.all())

    def rows(self, offset: int) -> Integers:
        """Return for each cell its packed row, where the grid's first row is `offset`."""
        firsts = offset + np.cumsum(self._widths) - self._widths
        rows: Integers = firsts[:, None] + self._last
        return rows


def _wanted(pieces: Sequence[Piece], starts: Integers) -> Integers:
    """Return the wanted rows, where the rows of piece i begin at `starts[i]`."""
    runs = [
        np.arange(start + len(piece.tokens) - piece.num_wanted, start + len(piece.tokens))
        for piece, start in zip(pieces, starts.tolist(), strict=False)
    ]
    return np.concatenate(runs)


def _finished(
    shape: PassShape,
    parts: list[Integers],
    wanted: Integers,
    upkeep: Upkeep,
    pieces: list[Piece],
) -> Layout:
    shape = PassShape(
        num_rows=shape.num_rows,
        grids=shape.grids,
        num_wanted=len(wanted),
        num_cleared=len(upkeep.cleared),
        num_copied=len(upkeep.copied_to),
    )
    orders = (upkeep.cleared, upkeep.copied_from, upkeep.copied_to)
    rest = [np.asarray(order, np.int64) for order in orders]
    return Layout(shape, np.concatenate([*parts, wanted, *rest]), pieces)
