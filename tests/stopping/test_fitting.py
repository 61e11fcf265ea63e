"""The fitted policy does what is known to be best, agrees with the table, and says why."""

from dataclasses import replace

import numpy as np
import pytest

from tests.stopping.synthetic import (
    BEST_STAGE,
    CHANCES,
    blind_data,
    data_of,
    ladder,
    sort_of,
    sorts,
    sorts_as_kinds,
)
from tests.stopping.test_programme import CHOSEN, QUALITIES, SECONDS
from tiercel.errors import InvalidRequest
from tiercel.stopping.fitting import fit
from tiercel.stopping.pandora import fit_pandora
from tiercel.stopping.policy import GoOn, Stop
from tiercel.stopping.replay import Replay, Rule, cross_fitted, replay, static
from tiercel.stopping.ridge import MAX_PARAMETERS, fit_ridge
from tiercel.stopping.scores import cross_fitted_scores
from tiercel.stopping.stages import StageData
from tiercel.stopping.tabular import fit_tabular
from tiercel.stopping.thresholds import fit_thresholds

both = pytest.mark.parametrize("recall", [True, False])


@pytest.fixture(scope="module")
def train() -> StageData:
    return ladder(2000, 0)


@pytest.fixture(scope="module")
def fresh() -> StageData:
    return ladder(4000, 1)


@both
@pytest.mark.parametrize(
    # Not at the thresholds themselves: means of equal numbers differ in their last bits.
    ("cost_weight", "stage"),
    [each for each in CHOSEN.items() if each[0] not in (0.1875,)],
)
def test_without_evidence_it_chooses_as_the_programme_does(
    cost_weight: float, stage: int, recall: bool
):
    data = blind_data(QUALITIES, SECONDS)
    policy = fit(data, cost_weight, recall=recall)
    assert replay(policy, data).last.tolist() == [stage] * len(data)


@both
def test_one_stage_stops(recall: bool):
    data = blind_data([0.4], [1.0])
    found = fit(data, 0.0, recall=recall).decide(0, [], "one")
    assert isinstance(found, Stop)
    assert (found.score, found.gain, found.explanation) == (
        pytest.approx(0.4), 0.0, "stop: no stage follows"
    )  # fmt: skip


@both
def test_better_stages_for_nothing_are_all_run(recall: bool):
    data = blind_data(QUALITIES, [0.0] * 4)
    assert set(replay(fit(data, 5.0, recall=recall), data).last) == {3}


@both
def test_of_identical_models_the_first_answers(recall: bool):
    """Whatever the evidence: the same answers gain nothing, exactly."""
    one = ladder(300, 3)
    same = replace(one, quality=np.repeat(one.quality[:, :1], 3, axis=1))
    for cost_weight in (0.0, 1e-12, 0.1):
        assert set(replay(fit(same, cost_weight, recall=recall), same).last) == {0}


def test_a_stage_of_infinite_cost_is_never_run():
    data = ladder(200, 4)
    seconds = data.seconds.copy()
    seconds[:, 1, 1:] = np.inf
    alone = replace(data, seconds=seconds)
    assert set(replay(fit(alone, 0.0, recall=True), alone).last) == {0}
    policy = fit(data, 0.01, recall=True)
    evidence = data.evidence[0, 0]
    assert isinstance(policy.decide(0, evidence, "one", seconds={1: np.inf}), Stop)


@both
@pytest.mark.parametrize("told_by", ["evidence", "kinds"])
def test_each_sort_of_item_gets_its_best_stage_and_the_table_agrees(told_by: str, recall: bool):
    data, new = sorts(3000, 0), sorts(600, 1)
    best = np.array([BEST_STAGE[name] for name in CHANCES])[sort_of(new)]
    if told_by == "kinds":
        data, new = sorts_as_kinds(data), sorts_as_kinds(new)
    fitted = replay(fit(data, 0.1, recall=recall), new)
    tabular = replay(fit_tabular(data, 0.1, recall=recall), new)
    assert fitted.last.tolist() == best.tolist()
    assert tabular.last.tolist() == best.tolist()


def test_looking_one_stage_ahead_is_not_enough():
    """The control of the test above: a myopic policy leaves hard items to the first stage."""
    data, new = sorts(3000, 0), sorts(600, 1)
    last, first = fit(data, 0.1, recall=False).continuations
    policy = fit(cut_off(data, 1), 0.1, recall=False)
    (short_sighted,) = policy.continuations
    assert (first.stage, first.following) == (short_sighted.stage, short_sighted.following)
    myopic = replace(fit(data, 0.1, recall=False), continuations=(last, short_sighted))
    found = replay(myopic, new)
    assert set(found.last[sort_of(new) == 2]) == {0}


def cut_off(data: StageData, last: int) -> StageData:
    """Return the stages up to `last`, beyond which nothing follows."""
    return replace(
        data,
        stages=data.stages[: last + 1],
        evidence=data.evidence[:, : last + 1],
        quality=data.quality[:, : last + 1],
        seconds=data.seconds[:, : last + 2, : last + 1],
    )


@both
@pytest.mark.parametrize("cost_weight", [0.02, 0.05, 0.1])
def test_on_continuous_evidence_it_is_worth_what_the_table_is(
    train: StageData, fresh: StageData, cost_weight: float, recall: bool
):
    fitted = replay(fit(train, cost_weight, recall=recall), fresh).value(cost_weight)
    bins = 5 if recall else 20
    tabular = fit_tabular(train, cost_weight, recall=recall, num_bins=bins)
    assert fitted > replay(tabular, fresh).value(cost_weight) - 0.01
    if not recall:  # with recall so few states are coarse
        assert fitted < replay(tabular, fresh).value(cost_weight) + 0.02


def test_evidence_is_worth_something_and_evidence_of_others_nothing(
    train: StageData, fresh: StageData
):
    weight = 0.1
    value = replay(fit(train, weight, recall=True), fresh).value(weight)
    blind = replay(fit(without_evidence(train), weight, recall=True), without_evidence(fresh))
    others = np.random.default_rng(0).permutation(len(train))
    shuffled = replace(train, evidence=train.evidence[others])
    misled = replay(fit(shuffled, weight, recall=True), fresh).value(weight)
    assert value > blind.value(weight) + 0.01
    assert misled < blind.value(weight) + 0.005


def without_evidence(data: StageData) -> StageData:
    return replace(data, evidence=data.evidence[:, :, :0], evidence_names=())


@pytest.mark.parametrize("cost_weight", [0.02, 0.05, 0.1])
def test_the_baselines_are_no_better(train: StageData, fresh: StageData, cost_weight: float):
    def value(rule: Rule) -> float:
        return replay(rule, fresh).value(cost_weight)

    fitted = value(fit(train, cost_weight, recall=True))
    assert fitted > value(fit_thresholds(train, cost_weight, recall=True)) - 0.01
    assert fitted > value(fit_pandora(train, cost_weight)) - 0.01


def test_with_recall_it_is_worth_more(train: StageData, fresh: StageData):
    """Where a later stage is a coin toss, an answer in hand is not to be thrown away."""
    quality = train.quality.copy(), fresh.quality.copy()
    draw = np.random.default_rng(5)
    for each in quality:
        each[:, 1] = draw.random(len(each)) < 0.5
    pair = []
    for data, each in zip((train, fresh), quality, strict=True):
        evidence = data.evidence[:, :2].copy()
        evidence[:, 1] = each[:, 1:2]  # what the second says of itself is right
        pair.append(replace(cut_off(data, 1), quality=each[:, :2], evidence=evidence))
    kept = replay(fit(pair[0], 0.0, recall=True), pair[1])
    thrown = replay(fit(pair[0], 0.0, recall=False), pair[1])
    assert kept.quality.mean() > thrown.quality.mean() + 0.05


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


@both
def test_decisions_one_by_one_are_those_of_the_replay(recall: bool):
    data = ladder(60, 9)
    policy = fit(ladder(500, 10), 0.05, recall=recall)
    found = replay(policy, data)
    for row in range(len(data)):
        stage, kept, best = 0, 0, None
        while True:
            decision = policy.decide(stage, data.evidence[row, stage], "one", best)
            if isinstance(decision, GoOn):
                assert decision.gain > decision.price == 0.05 * decision.seconds
            keeps_own = best is None or decision.score > best
            kept = stage if keeps_own else kept
            if isinstance(decision, Stop):
                assert decision.keeps_earlier == (not keeps_own)
                assert decision.gain <= decision.price
                break
            best = decision.score if recall else None
            stage = decision.following
        assert (stage, kept) == (found.last[row], found.kept[row])


def test_decisions_say_why_in_words():
    policy = fit(blind_data((0.3, 0.6), (1.0, 2.0)), 0.1, recall=True)
    assert policy.decide(0, [], "one").explanation == (
        "go on to b: an expected gain of 0.300 exceeds the price of 0.200 (2.00 s to b, "
        "0.1 a second)"
    )
    assert policy.decide(0, [], "one", seconds={1: 4.0}).explanation == (
        "stop: an expected gain of 0.300 does not exceed the price of 0.400 (4.00 s to b, "
        "0.1 a second)"
    )


def test_the_cheaper_way_is_taken_where_two_are_open():
    """What was drafted is reused: the last stage is cheaper straight from the first."""
    data = blind_data((0.3, 0.35, 0.9), (1.0, 1.0, 4.0))
    seconds = data.seconds.copy()
    seconds[:, 1, 2] = 2.0
    policy = fit(replace(data, seconds=seconds), 0.1, recall=True)
    found = policy.decide(0, [], "one")
    assert isinstance(found, GoOn) and found.following == 2
    found = policy.decide(0, [], "one", seconds={2: 6.0})
    assert isinstance(found, GoOn) and found.following == 1


def test_seconds_are_by_kind_where_they_differ():
    data = blind_data((0.3, 0.6), (1.0, 1.0), 40)
    kinds = ("code", "facts") * 20
    seconds = data.seconds.copy()
    seconds[1::2, 1, 1] = 9.0
    policy = fit(replace(data, kinds=kinds, seconds=seconds), 0.1, recall=True)
    found = [policy.decide(0, [], kind) for kind in ("code", "facts", "another")]
    assert [each.seconds for each in found] == pytest.approx([1.0, 9.0, 5.0])
    assert [type(each) for each in found] == [GoOn, Stop, Stop]


def test_a_kind_that_one_fold_lacks_is_learned_all_the_same():
    data = ladder(100, 11)
    policy = fit(replace(data, kinds=("rare", *("one",) * 99)), 0.05, recall=True)
    assert policy.scores.kinds == ("one", "rare")


def test_regressors_have_at_most_ten_effective_parameters():
    draw = np.random.default_rng(12)
    evidence = draw.normal(size=(300, 2, 40))
    quality = np.clip(0.5 + 0.05 * evidence.sum(axis=2), 0.0, 1.0)
    policy = fit(data_of(evidence, quality, (1.0, 1.0)), 0.01, recall=True)
    counts = [each.num_parameters for each in policy.scores.regressors]
    counts += [each.gain.num_parameters for each in policy.continuations]
    assert len(counts) == 3 and max(counts) <= MAX_PARAMETERS
    # Nothing but the bound holds them back.
    free = fit_ridge(evidence[:, 0], quality[:, 0], max_parameters=50.0)
    assert free.num_parameters > 20 > MAX_PARAMETERS >= counts[0] > 9


def test_effective_parameters_are_the_trace_of_what_maps_targets_to_fits():
    draw = np.random.default_rng(13)
    rows, targets = draw.normal(size=(50, 6)), draw.normal(size=50)
    linear = fit_ridge(rows, targets)
    # A fit that is linear in its targets, at the penalty that was found.
    design = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    penalties = np.logspace(6, -4, 31) * 50
    traces = [
        1 + np.trace(design @ np.linalg.solve(design.T @ design + each * np.eye(6), design.T))
        for each in penalties
    ]
    assert np.min(np.abs(np.array(traces) - linear.num_parameters)) < 1e-9


def test_ridge_finds_a_line_and_stays_flat_on_noise():
    draw = np.random.default_rng(14)
    rows = draw.normal(size=(500, 5))
    line = fit_ridge(rows, 2.0 + 3.0 * rows[:, 1])
    assert line(np.array([[0, 1.0, 0, 0, 0]])) == pytest.approx([5.0], abs=0.01)
    noise = fit_ridge(rows, draw.normal(size=500))
    assert np.abs(noise(rows)).max() < 0.3


def test_far_evidence_counts_as_four_deviations_and_unknown_as_the_mean():
    draw = np.random.default_rng(15)
    rows = draw.normal(size=(500, 1))
    line = fit_ridge(rows, rows[:, 0] - rows.mean())
    far, farther, unknown = line(np.array([[5.0], [1e9], [np.nan]]))
    assert far == farther
    assert unknown == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("stage", "evidence", "best", "seconds", "why"),
    [
        (3, [0.0, 0.0], None, {}, "stage"),
        (0, [0.0], None, {}, "2 finite numbers"),
        (0, [0.0, np.nan], None, {}, "2 finite numbers"),
        (0, [0.0, 0.0], 1.5, {}, "best_so_far"),
        (0, [0.0, 0.0], None, {1: np.nan}, "seconds"),
    ],
)
def test_what_cannot_be_decided_on_is_refused(
    stage: int, evidence: list[float], best: float | None, seconds: dict[int, float], why: str
):
    policy = fit(ladder(50, 16), 0.1, recall=True)
    with pytest.raises(InvalidRequest, match=why):
        policy.decide(stage, evidence, "one", best, seconds)


def test_recall_is_refused_where_there_is_none():
    data = ladder(50, 17)
    with pytest.raises(InvalidRequest, match="without recall"):
        fit(data, 0.1, recall=False).decide(0, [0.0, 0.0], "one", 0.5)
    with pytest.raises(InvalidRequest, match="unfinished"):
        fit(replace(data, prefix_tokens=16), 0.1, recall=True)
    with pytest.raises(InvalidRequest, match="num_folds"):
        fit(data, 0.1, recall=True, num_folds=51)
