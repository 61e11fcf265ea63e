"""Made-up answers whose best decisions are known; figures from them stand nowhere."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tiercel.stopping.programme import in_order
from tiercel.stopping.stages import StageData

Floats = NDArray[np.float64]


def data_of(
    evidence: Floats,
    quality: Floats,
    seconds: Sequence[float],
    *,
    kinds: Sequence[str] | None = None,
    prefix_tokens: int | None = None,
) -> StageData:
    """Return items whose stages run in order and take `seconds`, each on top of those before."""
    count, num_stages = quality.shape
    return StageData(
        stages=tuple("abcdef"[:num_stages]),
        evidence_names=tuple(f"e{at}" for at in range(evidence.shape[2])),
        evidence=evidence,
        kinds=tuple(kinds or ["one"] * count),
        quality=quality,
        seconds=np.tile(in_order(seconds), (count, 1, 1)),
        groups=tuple(str(at) for at in range(count)),
        prefix_tokens=prefix_tokens,
    )


def blind_data(qualities: Sequence[float], seconds: Sequence[float], count: int = 20) -> StageData:
    """Return items that are all alike, without evidence."""
    quality = np.tile(np.array(qualities, np.float64), (count, 1))
    return data_of(np.zeros((count, len(qualities), 0)), quality, seconds)


def ladder(
    count: int, seed: int, *, noise: float = 0.7, seconds: Sequence[float] = (1, 2, 4)
) -> StageData:
    """Return items of different difficulty, which better stages overcome more often.

    Evidence is the chance of being right as log-odds, with noise, beside a column of noise alone.
    """
    draw = np.random.default_rng(seed)
    difficulty = draw.normal(0.0, 1.5, count)
    odds = np.array([-0.3, 0.8, 2.0])[: len(seconds)] - difficulty[:, None]
    quality = (draw.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    seen = odds + draw.normal(0.0, noise, odds.shape)
    evidence = np.stack((seen, draw.normal(size=odds.shape)), axis=2)
    return data_of(evidence, quality, seconds)


CHANCES = {"easy": (0.9, 0.92, 0.94), "middling": (0.2, 0.7, 0.75), "hard": (0.05, 0.1, 0.6)}
BEST_STAGE = {"easy": 0, "middling": 1, "hard": 2}
"""At 0.1 a second and a second for each stage. Hard items gain too little in the middle alone."""


def sorts(count: int, seed: int) -> StageData:
    """Return items of three sorts, which evidence tells apart; kinds say nothing."""
    draw = np.random.default_rng(seed)
    sort = draw.integers(0, 3, count)
    chances = np.array(list(CHANCES.values()))[sort]
    quality = (draw.random(chances.shape) < chances).astype(np.float64)
    flags = np.eye(3)[sort][:, 1:]
    return data_of(np.repeat(flags[:, None], 3, axis=1), quality, (1.0, 1.0, 1.0))


def sorts_as_kinds(data: StageData) -> StageData:
    """Return items of `sorts` whose kinds tell them apart, without evidence."""
    names = np.array(list(CHANCES))[sort_of(data)].tolist()
    evidence = np.zeros((len(data), 3, 0))
    return replace(data, evidence=evidence, evidence_names=(), kinds=tuple(names))


def sort_of(data: StageData) -> NDArray[np.int64]:
    """Return the number of each item's sort."""
    return (data.evidence[:, 0] @ np.array([1, 2])).astype(np.int64)
