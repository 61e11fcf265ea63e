"""The oracle without its luck: it picks by some of a prompt's samples and is scored on another.

Who picks the best of noisy scores and is scored on the same has picked noise too. With few samples
the other oracle knows less than can be known: the truth lies between the two.
"""

from dataclasses import dataclass

import numpy as np

from tiercel.evaluation.frontier.contenders import UTILITY
from tiercel.evaluation.frontier.fold import weight_grid
from tiercel.evaluation.frontier.hull import Doubles
from tiercel.evaluation.frontier.measures import gap_closed, references_of
from tiercel.evaluation.frontier.points import Points, certain
from tiercel.evaluation.frontier.replicates import REPLICATES, hulls_of, interval, resampled
from tiercel.evaluation.frontier.table import Table
from tiercel.evaluation.statistics import Estimate


@dataclass(frozen=True)
class Luck:
    """Of prompts with samples of every plan: answers are samples, costs those of greedy answers."""

    num_prompts: int
    num_samples: int
    gap_closed: Estimate  # by utility, to the cross-fitted oracle
    gap_closed_to_lucky: Estimate  # to the oracle that is scored on what it picked by
    share_of_luck: float  # of what the lucky oracle has over static


def without_luck(table: Table, utility: Points, num_replicates: int = REPLICATES) -> Luck | None:
    """Return what is left of the gap; None without enough samples, or where nothing is to route."""
    index = np.flatnonzero(np.isfinite(table.samples).all(axis=(1, 2)))
    if table.samples.shape[2] < 2 or len(index) < 2 or utility.odds is None:
        return None
    part = table.rows(index)
    chances = part.samples.mean(axis=2)
    try:
        references = references_of(part.costs.mean(axis=0), chances.mean(axis=0))
    except ValueError:
        return None
    points = {
        "static": Points(_single(chances), _single(part.costs)),
        "cross-fitted": _picked(part, is_lucky=False),
        "lucky": _picked(part, is_lucky=True),
        UTILITY: _rescored(utility.rows(index), chances),
    }
    means = resampled(points, part.examples.groups, num_replicates)
    areas = {name: hulls_of(one).areas(references) for name, one in means.items()}
    static, fair, lucky = areas["static"], areas["cross-fitted"], areas["lucky"]
    return Luck(
        num_prompts=len(part),
        num_samples=part.samples.shape[2],
        gap_closed=interval(gap_closed(areas[UTILITY], static, fair)),
        gap_closed_to_lucky=interval(gap_closed(areas[UTILITY], static, lucky)),
        share_of_luck=float((lucky[0] - fair[0]) / (lucky[0] - static[0])),
    )


def _picked(table: Table, *, is_lucky: bool) -> Points:
    """Return an oracle's points: the mean over which sample is the one that counts."""
    weights, samples = weight_grid(table), table.samples
    quality, cost = (np.zeros((len(table), len(weights))) for _ in range(2))
    count = samples.shape[2]
    for at in range(count):
        others = np.delete(samples, at, axis=2).mean(axis=2)
        seen = samples[:, :, at] if is_lucky else others
        worth = seen[:, None, :] - weights[None, :, None] * table.costs[:, None, :]
        odds = certain(worth.argmax(axis=2), table.costs.shape[1])
        quality += np.einsum("nwp,np->nw", odds, samples[:, :, at]) / count
        cost += np.einsum("nwp,np->nw", odds, table.costs) / count
    return Points(_single(quality), _single(cost))


def _rescored(points: Points, chances: Doubles) -> Points:
    """Return the points with samples' means in the place of greedy scores."""
    assert points.odds is not None
    return Points(_single(np.einsum("nmp,np->nm", points.odds, chances)), points.cost)


def _single(values: Doubles) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return values.astype(np.float32)
