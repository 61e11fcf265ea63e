"""Grouped cross-fitting: every prompt is tested once, by what never saw it or a near duplicate."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]

NUM_FOLDS = 5
# The other four fifths of a fold are dealt to eight hands: six for fitting, then one each.
_PARTS = 8


@dataclass(frozen=True)
class Split:
    """Row numbers: fitted on, calibrated on, weights chosen on, tested on. None share a group."""

    train: Rows
    calibration: Rows
    validation: Rows
    test: Rows


def splits(
    groups: Sequence[str], kinds: Sequence[str], seed: int = 0, num_folds: int = NUM_FOLDS
) -> Iterator[Split]:
    """Yield the folds: 60 % train, 10 % calibration, 10 % validation, 20 % test of each kind."""
    places = _dealt(groups, kinds, num_folds * _PARTS, seed)
    for fold in range(num_folds):
        own = places % num_folds == fold
        part = places // num_folds
        yield _split(own, part)


def leave_one_out(
    groups: Sequence[str], kinds: Sequence[str], seed: int = 0
) -> Iterator[tuple[str, Split]]:
    """Yield, for each kind, a split that tests it and has seen none of it, nor of its groups."""
    places = _dealt(groups, kinds, _PARTS, seed)
    names = np.array(kinds)
    for kind in dict.fromkeys(kinds):
        own = names == kind
        shared = {group for group, here in zip(groups, own, strict=True) if here}
        touched = np.array([group in shared for group in groups])
        kept = _split(touched, places)
        yield kind, Split(kept.train, kept.calibration, kept.validation, np.flatnonzero(own))


def _split(test: NDArray[np.bool_], part: NDArray[np.intp]) -> Split:
    def rows(chosen: NDArray[np.bool_]) -> Rows:
        return np.flatnonzero(~test & chosen)

    return Split(
        rows(part < _PARTS - 2),
        rows(part == _PARTS - 2),
        rows(part == _PARTS - 1),
        np.flatnonzero(test),
    )


def _dealt(
    groups: Sequence[str], kinds: Sequence[str], num_hands: int, seed: int
) -> NDArray[np.intp]:
    """Return a hand for each row: groups are dealt in turn, kind by kind, in a hash's order."""
    first: dict[str, str] = {}
    for group, kind in zip(groups, kinds, strict=True):
        first.setdefault(group, kind)
    by_kind = defaultdict(list)
    for group, kind in first.items():
        by_kind[kind].append(group)
    hands, dealt = {}, 0
    for members in by_kind.values():
        for group in sorted(members, key=lambda name: _order(name, seed)):
            hands[group] = dealt % num_hands
            dealt += 1
    return np.array([hands[group] for group in groups], np.intp)


def _order(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {group}".encode()).digest()
