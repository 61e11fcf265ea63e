"""A replay adds up what was run, by rules that never saw the item."""

from dataclasses import replace

import numpy as np
import pytest

from tests.stopping.synthetic import ladder
from tiercel.stopping.fitting import fit
from tiercel.stopping.replay import Replay, Rule, cross_fitted, replay, static
from tiercel.stopping.scores import cross_fitted_scores
from tiercel.stopping.stages import StageData


def test_a_score_depends_on_no_answer_of_its_own_group():
    data = ladder(200, 6)
    groups = tuple(str(at // 2) for at in range(200))
    data = replace(data, groups=groups)
    quality = data.quality.copy()
    quality[:2] = 1 - quality[:2]
    before, after = cross_fitted_scores(data), cross_fitted_scores(replace(data, quality=quality))
    assert (before[:2] == after[:2]).all()
    assert not (before[2:] == after[2:]).all()  # others learn from it


def test_a_replay_is_by_rules_that_never_saw_the_item():
    data = ladder(100, 7)
    seen: list[set[str]] = []

    def remembering(part: StageData) -> Rule:
        seen.append(set(part.groups))
        return fit(part, 0.05, recall=True)

    found = cross_fitted(data, remembering)
    folds = data.folds(5)
    for fold, groups in enumerate(seen):
        held = {data.groups[row] for row in np.flatnonzero(folds == fold)}
        assert held and not held & groups and held | groups == set(data.groups)
    expected = replay(
        fit(data.take(np.flatnonzero(folds != 3)), 0.05, recall=True),
        data.take(np.flatnonzero(folds == 3)),
    )
    for name in vars(Replay(*[np.zeros(1)] * 5)):  # every field, in the order of the items
        assert (getattr(found, name)[folds == 3] == getattr(expected, name)).all()


def test_a_replay_adds_up_what_was_run():
    data = ladder(500, 8)
    found = replay(fit(data, 0.05, recall=True), data)
    spent = np.cumsum(data.seconds[0, 0])[found.last]
    assert found.seconds.tolist() == pytest.approx(spent.tolist())
    assert (found.kept <= found.last).all() and (found.kept < found.last).any()
    assert (found.quality == data.quality[np.arange(500), found.kept]).all()
    assert static(data, 2).seconds.tolist() == data.seconds[:, 0, 2].tolist()
