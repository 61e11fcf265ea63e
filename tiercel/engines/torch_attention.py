"""Attention of sequences of different lengths over the pages of one arena.

The query heads that share a head of keys and values are stacked along the width, so that keys and
values are never repeated. What a row may see is a mask, built once for all layers.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from tiercel.engines.torch_cache import PAGE_SIZE
from tiercel.engines.torch_passes import Grid


@dataclass(frozen=True)
class AttentionGrid:
    """One grid of a pass: `rows` has for each of its cells the packed row, None if they are it."""

    grid: Grid
    rows: torch.Tensor | None  # [sequences * width]
    tables: torch.Tensor  # [sequences * pages], page numbers
    mask: torch.Tensor  # [sequences, 1, heads for each of keys * width, pages * PAGE_SIZE]


def mask_of(
    grid: Grid, positions: torch.Tensor, group_size: int, dtype: torch.dtype
) -> torch.Tensor:
    """Return what is added to the scores: 0 up to a query's own position, -inf behind it.

    `positions` is [sequences * width], `group_size` how many query heads share a head of keys.
    """
    sequences, width, num_pages = grid
    length = num_pages * PAGE_SIZE
    places = torch.arange(length, device=positions.device)
    hidden = places > positions.view(sequences, 1, width, 1)
    mask = torch.zeros(hidden.shape, dtype=dtype, device=positions.device)
    mask.masked_fill_(hidden, float("-inf"))
    stacked = mask.expand(sequences, group_size, width, length)
    return stacked.reshape(sequences, 1, group_size * width, length)


def attend(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, part: AttentionGrid
) -> torch.Tensor:
    """Return the attended values of a grid's cells, [sequences * width, heads * head_dim].

    `queries` is [rows, heads, head_dim]; `keys` and `values` are a layer's arena, [pages,
    PAGE_SIZE, kv_heads, head_dim].
    """
    sequences, width, _ = part.grid
    cells = queries if part.rows is None else queries.index_select(0, part.rows)
    num_heads, head_dim = cells.shape[1:]
    kv_heads = keys.shape[2]
    stacked = (
        cells.view(sequences, width, kv_heads, num_heads // kv_heads, head_dim)
        .permute(0, 2, 3, 1, 4)
        .reshape(sequences, kv_heads, -1, head_dim)
    )
    attended = scaled_dot_product_attention(
        stacked,
        _gathered(keys, part.tables, sequences),
        _gathered(values, part.tables, sequences),
        attn_mask=part.mask,
    )
    return (
        attended.view(sequences, kv_heads, num_heads // kv_heads, width, head_dim)
        .permute(0, 3, 1, 2, 4)
        .reshape(sequences * width, num_heads * head_dim)
    )


def _gathered(pages: torch.Tensor, tables: torch.Tensor, sequences: int) -> torch.Tensor:
    """Return the sequences' pages as [sequences, kv_heads, tokens, head_dim]."""
    _, _, kv_heads, head_dim = pages.shape
    chosen = pages.index_select(0, tables)
    return chosen.view(sequences, -1, kv_heads, head_dim).transpose(1, 2)
