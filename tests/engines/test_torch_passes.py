"""The integers of passes, and shapes that are rounded up and replayed."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.passes import random_tokens
from tests.tiny_model import tiny_gguf
from tiercel.engines.language_model import Step
from tiercel.engines.torch import TorchModel, TorchSettings
from tiercel.engines.torch_cache import PAGE_SIZE, PagePool, TorchCache, Upkeep, pages_for
from tiercel.engines.torch_decoder import PassInputs
from tiercel.engines.torch_passes import Grid, Layout, Piece, cut_into_passes, laid_out, laid_out_as
from tiercel.engines.torch_rank import RankSettings
from tiercel.engines.torch_steady import rounded_up, steady_grid
from tiercel.models.resolve import resolve

MAX_ROWS = 32


def pieces_of(widths: Sequence[tuple[int, int, int]]) -> list[Piece]:
    """Make pieces of (start, tokens, wanted), each with pages and ids of its own."""
    pieces, next_page = [], 1
    for number, (start, count, wanted) in enumerate(widths):
        num_pages = pages_for(start + count)
        pages = list(range(next_page, next_page + num_pages))
        ids = [1000 * (number + 1) + place for place in range(count)]
        pieces.append(Piece(number, ids, start, pages, min(wanted, count)))
        next_page += num_pages
    return pieces


WIDTHS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=6
)


@given(WIDTHS, st.booleans())
def test_every_token_stands_once_at_its_place_and_attention_finds_it(
    widths: list[tuple[int, int, int]], steadily: bool
) -> None:
    pieces = pieces_of(widths)
    upkeep = Upkeep([3], [1, 2], [7, 8])
    grid = steady_grid(pieces) if steadily else None
    layout = laid_out_as(pieces, upkeep, grid) if grid else laid_out(pieces, upkeep)
    parts = named(layout)
    assert [parts[name].tolist() for name in ("cleared", "copied_from", "copied_to")] == [
        [3],
        [1, 2],
        [7, 8],
    ]
    written = {slot: row for row, slot in enumerate(parts["slots"].tolist()) if slot >= PAGE_SIZE}
    for piece in pieces:
        for place, token in enumerate(piece.tokens, start=piece.start):
            row = written.pop(piece.pages[place // PAGE_SIZE] * PAGE_SIZE + place % PAGE_SIZE)
            assert (parts["ids"][row], parts["positions"][row]) == (token, place)
    assert not written, "nothing else is written outside of page 0"
    assert parts["ids"][parts["wanted"]].tolist() == [
        token
        for piece in layout.pieces
        for token in piece.tokens[len(piece.tokens) - piece.num_wanted :]
    ]
    if not layout.shape.is_grid:
        check_ways(layout, parts)


def check_ways(layout: Layout, parts: dict[str, np.ndarray]) -> None:
    """From the packed rows to the cells of the grids and back, each row arrives where it was."""
    cells = np.concatenate([parts[f"rows {n}"] for n in range(len(layout.shape.grids))])
    assert cells[parts["back"]].tolist() == list(range(layout.shape.num_rows))


def named(layout: Layout) -> dict[str, np.ndarray]:
    parts = PassInputs(layout.shape, torch.from_numpy(layout.integers)).parts()
    return {name: part.numpy() for name, part in parts.items()}


@given(WIDTHS)
def test_passes_are_cut_at_the_most_rows_and_nothing_is_lost(
    widths: list[tuple[int, int, int]],
) -> None:
    caches = [TorchCache(PagePool(2)) for _ in widths]
    steps = [
        Step(c, list(range(n)), min(w, n)) for c, (_, n, w) in zip(caches, widths, strict=True)
    ]
    starts = [start for start, _, _ in widths]
    pages = [list(range(10)) for _ in widths]
    passes = cut_into_passes(steps, starts, pages, MAX_ROWS)
    sizes = [sum(len(piece.tokens) for piece in pieces) for pieces in passes]
    assert all(size == MAX_ROWS for size in sizes[:-1])
    assert 0 < sizes[-1] <= MAX_ROWS
    for number, step in enumerate(steps):
        own = [piece for pieces in passes for piece in pieces if piece.step == number]
        assert [token for piece in own for token in piece.tokens] == step.tokens
        assert sum(piece.num_wanted for piece in own) == max(step.num_logits, 1)
        assert all(a.start + len(a.tokens) == b.start for a, b in pairwise(own))
        assert own[0].start == starts[number]


@pytest.mark.parametrize(
    ("size", "rounded"),
    [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (7, 8), (9, 12), (13, 16), (129, 192)],
)
def test_sizes_are_rounded_up_to_few(size: int, rounded: int) -> None:
    assert rounded_up(size) == rounded


@pytest.mark.parametrize(
    ("widths", "grid"),
    [
        ([(100, 1, 1)] * 5, Grid(6, 1, 8)),
        ([(100, 5, 5)] * 5, Grid(6, 6, 8)),
        ([(100, 17, 1)], None),  # a prompt
        ([(0, 1, 1)] * 257, None),
        ([(0, 1, 1)] * 100 + [(0, 16, 1)], None),  # 128 * 16 rows for 116 tokens
        ([(0, 1, 1)] * 4 + [(0, 16, 1)], None),
        ([(0, 1, 1)] * 3 + [(0, 16, 1)], Grid(4, 16, 1)),
        ([(10, 1, 1)] * 100 + [(4000, 1, 1)], None),  # 128 * 256 pages for 351
        ([(10, 1, 1)] * 4 + [(1000, 1, 1)], Grid(6, 1, 64)),
    ],
    ids=str,
)
def test_steady_are_passes_of_narrow_steps_that_are_much_alike(
    widths: list[tuple[int, int, int]], grid: Grid | None
) -> None:
    assert steady_grid(pieces_of(widths)) == grid


def test_lengths_that_differ_much_do_not_share_a_grid() -> None:
    layout = laid_out(pieces_of([(10, 1, 1), (4000, 2, 1), (30, 3, 1), (5, 40, 1)]), Upkeep())
    assert layout.shape.grids == (Grid(2, 3, 3), Grid(1, 2, 251), Grid(1, 40, 3))


@pytest.fixture(scope="module")
def steady_model(tiny_folder: Path) -> Iterator[TorchModel]:
    rank = RankSettings(dtype="fp32", device="cpu", threads=1)
    checkpoint = resolve(str(tiny_gguf(tiny_folder)))
    loaded = TorchModel(checkpoint, TorchSettings(rank, steady=True))
    yield loaded
    loaded.close()


def test_a_shape_is_captured_when_it_comes_again_and_replayed_from_then_on(
    steady_model: TorchModel,
) -> None:
    steady = steady_model._rank._steady
    before = steady.num_captured
    caches = [steady_model.open() for _ in range(5)]
    prompts = [random_tokens(20, 269, seed=n) for n in range(5)]
    steady_model.extend([Step(c, prompt, 0) for c, prompt in zip(caches, prompts, strict=True)])
    assert steady.num_captured == before, "prompts are not steady"
    found = []
    for num_captured, widths in [(0, [4] * 5), (1, [4] * 5), (1, [3, 4, 4, 1, 2]), (1, [4] * 3)]:
        steps = [Step(c, [9] * n, n) for c, n in zip(caches, widths, strict=False)]
        found.append(steady_model.extend(steps))
        assert steady.num_captured == before + num_captured
        for cache in caches:
            cache.truncate(20)
    for first, again in zip(found[0], found[1], strict=True):
        assert first.tobytes() == again.tobytes()
    for first, ragged in zip(found[0], found[2], strict=True):
        np.testing.assert_allclose(ragged, first[: len(ragged)], atol=1e-3)
    for cache in caches:
        cache.close()
