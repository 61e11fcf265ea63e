"""What beginning at a stage is worth, by what is known before a word: the kind, and forecasts.

Quality and seconds stand apart, so that they can be priced at any weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.stopping.replay import Replay, Rule, reordered, replay
from tiercel.stopping.ridge import Linear, fit_ridge
from tiercel.stopping.scores import kind_flags
from tiercel.stopping.stages import StageData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Start:
    """Beginning at a stage, and following the policy from there."""

    stage: int
    mean_seconds: float  # of the stage's answer from nothing
    kind_seconds: Mapping[str, float]  # the mean by kind
    quality: Linear  # of the stage's own answer, by kind
    gain: Linear  # of quality, by the answer that is kept in the end
    after: Linear  # seconds after the stage's own answer; net of what an early end of it saves
    ends: Mapping[int, Linear]  # by later stage: the chance that it is the last that is run

    def seconds(self, kind: str) -> float:
        """Return the usual seconds of the stage's own answer."""
        return self.kind_seconds.get(kind, self.mean_seconds)


@dataclass(frozen=True)
class Expected:
    """What is expected of a start."""

    quality: float  # of the stage's own answer, by its kind alone
    gain: float  # of quality, on top of the stage's own
    after_s: float
    ends: Mapping[int, float]  # as in `Start`


def expected(
    start: Start, kind: str, known: Sequence[str], forecasts: Sequence[float | None] | None
) -> Expected:
    """Return what is expected of a request of a kind.

    `known` are the kinds of the fit. `forecasts` are predicted qualities by stage, None where there
    is none, for a policy that reads them; what is not known counts as it was on average.
    """
    flags = kind_flags((kind,), known)
    seen = None
    if forecasts is not None:
        seen = np.array([[np.nan if one is None else one for one in forecasts]])
    rows = start_rows(seen, start.stage, flags)
    return Expected(
        quality=float(np.clip(start.quality(flags)[0], 0.0, 1.0)),
        gain=float(start.gain(rows)[0]),
        after_s=float(start.after(rows)[0]),
        ends={j: float(np.clip(chance(rows)[0], 0.0, 1.0)) for j, chance in start.ends.items()},
    )


def start_rows(forecasts: Floats | None, stage: int, flags: Floats) -> Floats:
    """Return the columns that starts are regressed on, [num_items, num_columns].

    They are the forecasts of all stages [num_items, num_stages] and the square of the start's own,
    for most is gained in the middle; without forecasts only the flags of kinds.
    """
    if forecasts is None:
        return flags
    return np.hstack((forecasts, forecasts[:, [stage]] ** 2, flags))


def fit_starts(
    data: StageData, rules: Sequence[Rule], held: Sequence[Ints], kinds: Sequence[str]
) -> tuple[Start, ...]:
    """Return what each start brought. Each rule decides on the rows that it never saw, `held`."""
    found = []
    for stage in range(len(data.stages)):
        parts = [
            replay(rule, data.take(rows), stage) for rule, rows in zip(rules, held, strict=True)
        ]
        found.append(_fitted(data, stage, reordered(parts, list(held)), kinds))
    return tuple(found)


def _fitted(data: StageData, stage: int, brought: Replay, kinds: Sequence[str]) -> Start:
    flags = kind_flags(data.kinds, kinds)
    rows = start_rows(data.forecasts, stage, flags)
    own, entry = data.quality[:, stage], data.seconds[:, 0, stage]

    def regressed(targets: Floats, columns: Floats = rows) -> Linear:
        return fit_ridge(columns, targets, num_flags=len(kinds))

    return Start(
        stage=stage,
        mean_seconds=float(entry.mean()),
        kind_seconds=means_by_kind(data.kinds, entry),
        quality=regressed(own, flags),
        gain=regressed(brought.quality - own),
        after=regressed(brought.seconds - entry),
        ends={
            later: regressed((brought.last == later).astype(np.float64))
            for later in range(stage + 1, len(data.stages))
        },
    )


def means_by_kind(kinds: Sequence[str], values: Floats) -> dict[str, float]:
    """Return the mean of the values [num_items] of each kind."""
    of = np.array(kinds)
    return {kind: float(values[of == kind].mean()) for kind in sorted(set(kinds))}
