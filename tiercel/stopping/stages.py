"""All stages' answers to the same prompts: what stopping is learned from and replayed on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tiercel.errors import InvalidRequest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StageData:
    """What each stage answered to each item, how good it was, and what every way to it takes.

    `seconds[i, 0, j]` is what stage j takes from nothing, `seconds[i, k + 1, j]` what it takes
    after stage k, which may be less: what was drafted is reused. Infinite in every item: no such
    move. Where the evidence is that of a prefix it is net of the seconds that finishing stage k
    would have taken, and may be negative.
    """

    stages: tuple[str, ...]  # in order of cost
    evidence_names: tuple[str, ...]
    evidence: Floats  # [num_items, num_stages, num_features]
    kinds: tuple[str, ...]  # of task, [num_items]
    quality: Floats  # [num_items, num_stages], from 0 to 1
    seconds: Floats  # [num_items, num_stages + 1, num_stages]
    groups: tuple[str, ...]  # [num_items]; items of a group never stand on both sides of a split
    prefix_tokens: int | None = None  # None: the evidence is of whole answers
    stage_digests: tuple[str, ...] = ()  # of what stands behind each stage's name
    forecasts: Floats | None = None  # [num_items, num_stages]: quality as predicted from the prompt

    def __post_init__(self) -> None:
        """Raise InvalidRequest, naming the field, for shapes or numbers that cannot be."""
        count, num_stages = len(self.kinds), len(self.stages)
        shapes = {
            "evidence": (count, num_stages, len(self.evidence_names)),
            "quality": (count, num_stages),
            "seconds": (count, num_stages + 1, num_stages),
        }
        if self.forecasts is not None:
            shapes["forecasts"] = (count, num_stages)
        for name, shape in shapes.items():
            found = getattr(self, name).shape
            _refuse_unless(found == shape, name, found, f"its shape is not {shape}")
        _refuse_unless(count > 0 and num_stages > 0, "stages", self.stages, "nothing to learn from")
        _refuse_unless(len(self.groups) == count, "groups", len(self.groups), f"not {count}")
        distinct = len(set(self.stages)) == num_stages
        _refuse_unless(distinct, "stages", self.stages, "two have the same name")
        digests = len(self.stage_digests) in (0, num_stages)
        _refuse_unless(digests, "stage_digests", self.stage_digests, "not one for each stage")
        for name in ("evidence", "forecasts"):
            numbers = getattr(self, name)
            finite = numbers is None or bool(np.isfinite(numbers).all())
            _refuse_unless(finite, name, "", "not finite")
        fits = bool(((self.quality >= 0) & (self.quality <= 1)).all())
        _refuse_unless(fits, "quality", "", "not from 0 to 1")
        self._check_seconds()

    def _check_seconds(self) -> None:
        _refuse_unless(not np.isnan(self.seconds).any(), "seconds", "", "not a number")
        possible = np.isfinite(self.seconds)
        alike = bool((possible == possible[0]).all()) and not bool((self.seconds == -np.inf).any())
        _refuse_unless(alike, "seconds", "", "a move is possible for all items, or for none")
        _refuse_unless(bool(possible[0, 0].all()), "seconds", "", "no stage may lack a cost")

    def __len__(self) -> int:
        """How many items there are."""
        return len(self.kinds)

    def moves_from(self, stage: int) -> list[int]:
        """Return the later stages that may follow."""
        possible = np.isfinite(self.seconds[0, stage + 1])
        return [each for each in range(stage + 1, len(self.stages)) if possible[each]]

    def take(self, rows: Ints) -> "StageData":
        """Return the items of these rows, in this order."""
        return replace(
            self,
            evidence=self.evidence[rows],
            kinds=tuple(self.kinds[row] for row in rows),
            quality=self.quality[rows],
            seconds=self.seconds[rows],
            groups=tuple(self.groups[row] for row in rows),
            forecasts=None if self.forecasts is None else self.forecasts[rows],
        )

    def folds(self, count: int) -> Ints:
        """Return each item's fold, from 0 to `count` - 1, whole groups in one.

        Groups are dealt in an order that depends on nothing but their number. Raises
        InvalidRequest for fewer groups than folds, or fewer than two folds.
        """
        names = sorted(set(self.groups))
        if not 2 <= count <= len(names):
            raise InvalidRequest("num_folds", count, f"there are {len(names)} groups")
        dealt = np.random.default_rng(0).permutation(len(names)) % count
        fold_of = dict(zip(names, dealt.tolist(), strict=True))
        return np.array([fold_of[group] for group in self.groups], np.int64)


def joined(parts: Sequence[StageData]) -> StageData:
    """Return the items of all parts, which speak of the same stages, as one."""
    first = parts[0]
    forecasts = [part.forecasts for part in parts if part.forecasts is not None]
    for other in parts[1:]:
        for name in ("stages", "evidence_names", "prefix_tokens", "stage_digests"):
            same = getattr(first, name) == getattr(other, name)
            _refuse_unless(same, name, getattr(other, name), f"not {getattr(first, name)}")
    return replace(
        first,
        evidence=np.concatenate([part.evidence for part in parts]),
        kinds=tuple(kind for part in parts for kind in part.kinds),
        quality=np.concatenate([part.quality for part in parts]),
        seconds=np.concatenate([part.seconds for part in parts]),
        groups=tuple(group for part in parts for group in part.groups),
        forecasts=np.concatenate(forecasts) if len(forecasts) == len(parts) else None,
    )


def _refuse_unless(holds: bool, field: str, value: object, why: str) -> None:
    if not holds:
        raise InvalidRequest(field, value, why)
