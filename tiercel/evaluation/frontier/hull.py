"""Upper concave hulls of points of cost and quality, for many sets of points at a time.

Only expectations are compared, so any two points may be mixed at random: the hull is reachable.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class References:
    """What areas are measured against; fixed once, and kept in every replicate."""

    cost_low: float  # of the cheapest plan
    cost_high: float  # of the best plan
    quality: float  # of the cheapest plan


@dataclass(frozen=True)
class Hulls:
    """`b` rising concave lines: from the cheapest useful point to the best; flat beyond it.

    Vertices have shape [b, m] and rising costs; a short line repeats its last vertex.
    """

    costs: Doubles
    qualities: Doubles

    def quality_at(self, costs: Doubles) -> Doubles:
        """Return the quality reached at costs [b, k]; minus infinity below the first vertex."""
        left, right = self.costs[:, :-1, None], self.costs[:, 1:, None]
        low, high = self.qualities[:, :-1, None], self.qualities[:, 1:, None]
        wanted = costs[:, None, :]
        share = np.clip(_ratio(wanted - left, right - left), 0.0, 1.0)
        on_line = np.where(wanted >= left, low + share * (high - low), -np.inf)
        at_last = np.where(costs >= self.costs[:, -1:], self.qualities[:, -1:], -np.inf)
        reached: Doubles = np.maximum(on_line.max(axis=1, initial=-np.inf), at_last)
        return reached

    def cost_at(self, qualities: Doubles) -> Doubles:
        """Return the least cost at which qualities [b, k] are reached; infinity where never."""
        left, right = self.costs[:, :-1, None], self.costs[:, 1:, None]
        low, high = self.qualities[:, :-1, None], self.qualities[:, 1:, None]
        wanted = qualities[:, None, :]
        share = np.clip(_ratio(wanted - low, high - low), 0.0, 1.0)
        on_line = np.where(wanted <= high, left + share * (right - left), np.inf)
        at_last = np.where(qualities <= self.qualities[:, -1:], self.costs[:, -1:], np.inf)
        needed: Doubles = np.minimum(on_line.min(axis=1, initial=np.inf), at_last)
        return needed

    def areas(self, references: References) -> Doubles:
        """Return the mean over the costs of the references of what lies above their quality, [b].

        Flat to the right of the last vertex; nothing to the left of the first. Exact.
        """
        low, high = references.cost_low, references.cost_high
        costs = np.concatenate([self.costs, np.maximum(self.costs[:, -1:], high)], axis=1)
        rises = np.concatenate([self.qualities, self.qualities[:, -1:]], axis=1)
        rises = rises - references.quality
        left, right = costs[:, :-1], costs[:, 1:]
        ends = [np.clip(left, low, high), np.clip(right, low, high)]
        slopes = _ratio(rises[:, 1:] - rises[:, :-1], right - left)
        at = [rises[:, :-1] + slopes * (end - left) for end in ends]
        total: Doubles = _above_zero(ends[1] - ends[0], at[0], at[1]).sum(axis=1) / (high - low)
        return total


def upper_hulls(costs: Doubles, qualities: Doubles) -> Hulls:
    """Return the hulls of b sets of m points, given in shape [b, m] (Andrew's monotone chain)."""
    order = np.lexsort((qualities, costs), axis=1)
    x = np.take_along_axis(costs, order, axis=1).astype(np.float64)
    y = np.take_along_axis(qualities, order, axis=1).astype(np.float64)
    count, width = x.shape
    rows, stack = np.arange(count), np.zeros((count, width), np.intp)
    size = np.zeros(count, np.intp)
    for at in range(width):
        # Only what is better than all before it, or in place of something no cheaper, is kept.
        peak = y[rows, stack[rows, np.maximum(size - 1, 0)]]
        useful = (size == 0) | (y[:, at] > peak)
        going = useful.copy()
        while going.any():
            going &= _is_below(x, y, stack, size, at)
            size -= going
        stack[rows[useful], size[useful]] = at
        size += useful
    filled = np.minimum(np.arange(width)[None, :], size[:, None] - 1)
    vertices = np.take_along_axis(stack, filled, axis=1)
    return Hulls(np.take_along_axis(x, vertices, 1), np.take_along_axis(y, vertices, 1))


def _is_below(
    x: Doubles, y: Doubles, stack: NDArray[np.intp], size: NDArray[np.intp], at: int
) -> NDArray[np.bool_]:
    """Tell whether the last vertex lies on or below the line from the one before it to a point.

    A lone vertex does if it costs as much as the point, which is better.
    """
    rows = np.arange(len(size))
    last = stack[rows, np.maximum(size - 1, 0)]
    before = stack[rows, np.maximum(size - 2, 0)]
    rise = (y[rows, last] - y[rows, before]) * (x[:, at] - x[rows, before])
    line = (y[:, at] - y[rows, before]) * (x[rows, last] - x[rows, before])
    alone = (size == 1) & (x[rows, last] == x[:, at])
    below: NDArray[np.bool_] = alone | ((size >= 2) & (rise <= line))
    return below


def _above_zero(widths: Doubles, first: Doubles, last: Doubles) -> Doubles:
    """Return the integrals of max(0, line) over segments from `first` to `last`."""
    top, bottom = np.maximum(first, last), np.minimum(first, last)
    share = np.clip(_ratio(top, top - bottom), 0.0, 1.0)
    crossing = np.where(bottom < 0, 0.5 * share * top, 0.5 * (top + bottom))
    area: Doubles = widths * np.where(top > 0, crossing, 0.0)
    return area


def _ratio(top: Doubles, bottom: Doubles) -> Doubles:
    """Return top / bottom, and 0 where bottom is 0."""
    safe = np.where(bottom == 0, 1.0, bottom)
    ratio: Doubles = np.where(bottom == 0, 0.0, top / safe)
    return ratio
