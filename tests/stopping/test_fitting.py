"""The fitted policy does what is known to be best, agrees with the table, and says why."""

from dataclasses import replace

import numpy as np
import pytest

from tests.stopping.synthetic import (
    BEST_STAGE,
    CHANCES,
    blind_data,
    ladder,
    sort_of,
    sorts,
    sorts_as_kinds,
)
from tests.stopping.test_programme import CHOSEN, QUALITIES, SECONDS
from tiercel.stopping.fitting import fit
from tiercel.stopping.pandora import fit_pandora
from tiercel.stopping.policy import Stop
from tiercel.stopping.replay import Rule, replay
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
