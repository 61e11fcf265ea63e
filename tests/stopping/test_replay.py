"""A replay adds up what was run, by rules that never saw the item."""

from dataclasses import replace

import numpy as np
import pytest

from tests.stopping.synthetic import blind_data, ladder
from tiercel.stopping import fitting
from tiercel.stopping.fitting import fit
from tiercel.stopping.policy import StoppingPolicy
from tiercel.stopping.replay import Place, Replay, Rule, cross_fitted, onward, replay, static
from tiercel.stopping.ridge import Linear, fit_ridge
from tiercel.stopping.scores import StageScores, cross_fitted_scores, fit_scores
from tiercel.stopping.stages import StageData
from tiercel.stopping.thresholds import ThresholdRule


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


def test_of_equal_answers_the_earlier_is_kept():
    data = blind_data((0.5, 0.5), (1.0, 1.0))
    scores = fit(data, 0.0, recall=True).scores
    assert set(replay(ThresholdRule(scores, True, (np.inf,)), data).kept) == {0}
    assert set(replay(ThresholdRule(scores, False, (np.inf,)), data).kept) == {1}


def test_no_decision_in_training_is_by_a_policy_that_saw_the_item(
    monkeypatch: pytest.MonkeyPatch,
):
    data = ladder(60, 9)
    saw_groups: dict[int, set[str]] = {}  # by what was fitted
    saw_rows: dict[int, set[float]] = {}
    kept, num_walks = [], 0

    def fit_scores_noted(part: StageData, *more: object) -> StageScores:
        found = fit_scores(part, *more)
        kept.append(found)
        saw_groups[id(found)] = set(part.groups)
        return found

    def fit_ridge_noted(rows: np.ndarray, *more: object, **most: object) -> Linear:
        found = fit_ridge(rows, *more, **most)
        kept.append(found)
        saw_rows[id(found)] = set(rows[:, 0].tolist())
        return found

    def onward_noted(policy: StoppingPolicy, part: StageData, place: Place) -> Replay:
        nonlocal num_walks
        num_walks += 1
        assert not saw_groups[id(policy.scores)] & set(part.groups)
        for each in policy.continuations:
            assert not saw_rows[id(each.gain)] & set(part.evidence[:, each.stage, 0].tolist())
        return onward(policy, part, place)

    monkeypatch.setattr(fitting, "fit_scores", fit_scores_noted)
    monkeypatch.setattr(fitting, "fit_ridge", fit_ridge_noted)
    monkeypatch.setattr(fitting, "onward", onward_noted)
    fit(data, 0.05, recall=True)
    assert num_walks == 2 * 5  # two moves, five folds
