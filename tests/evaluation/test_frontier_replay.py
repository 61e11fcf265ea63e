"""Replays of policies and baselines on a made-up table, with those who know nothing as controls."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.frontier_tables import (
    folds_of,
    guessing,
    knowing,
    memorising,
    replayed,
    table_of,
)
from tiercel.errors import InvalidRequest
from tiercel.evaluation.frontier import sweeps
from tiercel.evaluation.frontier.bandit import ALPHA, RIDGE, learned
from tiercel.evaluation.frontier.cascades import Probing, RunAll, Stopping, inducted, stage_data
from tiercel.evaluation.frontier.contenders import ORACLE, STATIC, UTILITY, contenders_of
from tiercel.evaluation.frontier.figures import compared
from tiercel.evaluation.frontier.learners import nearest
from tiercel.evaluation.frontier.luck import without_luck
from tiercel.evaluation.frontier.points import NUM_POINTS, Points, spread
from tiercel.evaluation.frontier.policies import weighed
from tiercel.evaluation.frontier.reduced import as_given, reduced_situations, rows_of
from tiercel.evaluation.frontier.replicates import chance_of_none, holm, interval, resampled
from tiercel.routing.imitation import NearestNeighbours, neighbours
from tiercel.routing.linucb import LinUcb, LinUcbLearner
from tiercel.routing.policy import Forecast, Odds, Situation, Wishes
from tiercel.routing.qualities import Utility

TABLE = table_of()
UTILITY_SWEEP = sweeps.Sweep(UTILITY, sweeps.predicted)


def closed(fitter, table=TABLE, overhead: float = 0.0):
    """The gap that utility closes with somebody's predictions."""
    folds = folds_of(table, fitter, overhead)
    points = {one.name: replayed(one, folds) for one in (UTILITY_SWEEP, sweeps.Oracle(ORACLE))}
    return compared(table, points, num_replicates=400).of(UTILITY).gap_closed


def test_who_knows_chances_closes_a_part_of_the_gap_and_who_guesses_none():
    known = closed(knowing)
    assert 0.05 < known.low < known.high < 0.9
    assert closed(guessing).high < 0


def test_what_was_learned_by_heart_is_of_no_use_as_no_prompt_is_tested_by_what_saw_it():
    # No more than what a hull makes of chance.
    assert closed(memorising).mean < closed(knowing).mean / 3


def test_near_duplicates_in_one_group_give_nothing_away():
    twice = TABLE.rows(np.repeat(np.arange(200), 2))
    features = twice.examples.features
    ids = tuple(f"q{at}" for at in range(len(twice)))
    split = replace(twice, examples=replace(twice.examples, groups=ids), prompt_ids=ids)
    assert len(set(features[:, -1])) == 200
    assert closed(memorising, split).low > 0.5  # the twin was learned by heart
    assert closed(memorising, twice).mean < 0.1


def test_the_oracle_closes_all_and_static_plans_none_of_the_gap():
    points = {ORACLE: replayed(sweeps.Oracle(ORACLE), folds_of(TABLE))}
    found = compared(TABLE, points, num_replicates=400)
    assert found.of(ORACLE).gap_closed.mean == pytest.approx(1)
    assert found.of(STATIC).gap_closed.mean == pytest.approx(0)
    assert found.equivalent_gap * found.of(ORACLE).area_gain.mean == pytest.approx(0.25)


def test_a_decision_is_charged():
    assert closed(knowing, overhead=0.5).mean < closed(knowing).mean - 0.02


def test_the_policy_utility_does_what_the_sweep_does():
    folds = folds_of(TABLE)[:1]
    by_name = {one.name: one for one in contenders_of(TABLE)}
    policy, sweep = replayed(by_name[UTILITY], folds), replayed(UTILITY_SWEEP, folds)
    assert np.array_equal(policy.odds, sweep.odds)
    assert policy.odds.shape[1] == NUM_POINTS


class Surely:
    """Takes one plan always."""

    def __init__(self, plan: str) -> None:
        self.plan = plan

    def weigh(self, situation: Situation) -> Odds:
        return Odds.certain(self.plan, "it is told to")


def test_a_policy_of_ones_own_stands_beside_the_others():
    folds = folds_of(TABLE)[:1]
    own = {
        "mine:utility": lambda settings: Utility(settings.cost_weight),
        "mine:surely": lambda settings: Surely("large"),
    }
    by_name = {one.name: one for one in contenders_of(TABLE, policies=own)}
    known, mine, blind = (
        replayed(by_name[one], folds) for one in (UTILITY, "mine:utility", "mine:surely")
    )
    assert np.array_equal(mine.odds, known.odds)
    assert blind.odds[:, :, 2].all()


def test_odds_of_a_plan_that_is_not_there_are_told():
    asked = Situation((Forecast("a"), Forecast("b")), "a")
    with pytest.raises(InvalidRequest, match="odds='z': the plans are a, b"):
        weighed(Surely("z"), [asked], Wishes())


def test_every_contender_answers_every_prompt_of_a_fold():
    table = table_of(150, num_plans=2)
    folds = folds_of(table)[:1]
    points = {one.name: replayed(one, folds) for one in contenders_of(table, 2)}
    oracle = points.pop(ORACLE)
    for name, one in points.items():
        assert one.quality.shape == one.cost.shape, name
        assert len(one.quality) == len(folds[0].split.test), name
        assert (one.cost > 0).all() and np.isfinite(one.quality).all(), name
        assert one.quality.mean(axis=0).max() <= oracle.quality.mean(axis=0).max(), name
        if one.odds is not None:
            assert np.allclose(one.odds.sum(axis=2), 1), name


def test_looking_at_answers_helps():
    table = table_of(300, num_plans=2)
    folds = folds_of(table)
    after = Stopping("cascade", inducted, 32, num_weights=6)
    points = {one.name: replayed(one, folds) for one in (after, sweeps.Oracle(ORACLE))}
    # What an answer's tokens say is right nine times in ten.
    assert compared(table, points, num_replicates=400).of("cascade").gap_closed.low > 0


def test_run_all_pays_for_all():
    points = replayed(RunAll("all", lambda fold, table: table.scores), folds_of(TABLE))
    assert points.cost[:, 0] == pytest.approx(TABLE.costs.sum(axis=1))
    assert points.quality[:, 0] == pytest.approx(TABLE.scores.max(axis=1))


def test_a_probe_is_paid_for_by_those_who_leave_it():
    points = replayed(Probing(32), folds_of(TABLE))
    plans = np.einsum("nmp,np->nm", points.odds, TABLE.costs)
    left = (1 - points.odds[:, :, 0]) * TABLE.prefixes[32].costs[:, :1]
    assert points.cost == pytest.approx(plans + left, rel=1e-5)
    assert left.max() > 0


def test_moves_of_a_cascade_cost_what_was_not_spent_before():
    whole, prefix = stage_data(TABLE, None), stage_data(TABLE, 32)
    assert whole.seconds[0, 2, 2] == pytest.approx(TABLE.costs[0, 2])
    spent = TABLE.costs[0, 1] - TABLE.prefixes[32].costs[0, 1]
    assert prefix.seconds[0, 2, 2] == pytest.approx(TABLE.costs[0, 2] - spent)
    assert whole.moves_from(1) == [2]
    fold = folds_of(TABLE)[0]
    two = Stopping("two", inducted, stages=(0, 2), num_weights=2).replay(fold)
    most = fold.test.costs[:, [0, 2]].sum(axis=1, keepdims=True)
    assert (two.cost <= most * (1 + 1e-6)).all()


def test_the_batched_bandit_is_the_one_that_learns_step_by_step():
    random = np.random.default_rng(0)
    rows = np.column_stack((random.normal(size=(60, 3)), np.ones(60)))
    scores, costs = random.random((60, 2)), random.random((60, 2))
    prices = np.array([0.0, 0.7])
    names, reduction = ("a", "b"), as_given(rows.astype(np.float32))
    states = learned(rows.astype(np.float32).astype(float), scores, costs, prices, names)
    for price, state in zip(prices, states, strict=True):
        learner = LinUcbLearner(names, reduction, ridge=RIDGE)
        for row, score, cost in zip(rows[:, :-1].astype(np.float32), scores, costs, strict=True):
            asked = Situation(tuple(map(_forecast, names)), "a", row)
            odds = LinUcb(reduction, learner.state(), alpha=ALPHA).weigh(asked).probabilities
            arm = names.index(max(odds, key=lambda name: odds[name]))
            learner.learn(names[arm], row, score[arm] - price * cost[arm])
        assert np.allclose(state.weights, learner.state().weights, atol=1e-6)


def _forecast(name: str) -> Forecast:
    return Forecast(name, seconds=1.0)


def test_neighbours_of_the_sweep_are_those_of_the_policy():
    fold = folds_of(TABLE)[0]
    _, beliefs = nearest(fold)
    known = neighbours(rows_of(fold, fold.train), fold.train.examples.scores, TABLE.plan_names)
    asked = reduced_situations(fold, fold.test, fold.test_beliefs)
    best = beliefs.quality.argmax(axis=1)
    reduction = as_given(rows_of(fold, fold.test))
    agree = [
        (
            weighed(
                NearestNeighbours(reduction, known, num_neighbours=count), asked, Wishes()
            ).argmax(axis=1)
            == best
        ).mean()
        for count in (20, 40, 80)
    ]
    assert max(agree) > 0.97


def test_settings_are_spread_over_costs():
    costs = np.array([5.0, 1.0, 1.1, 9.0, 3.0])
    assert costs[spread(costs, 3)].tolist() == [1.0, 5.0, 9.0]


def test_luck_is_told_from_skill():
    random = np.random.default_rng(0)
    table = table_of(300, num_plans=2, num_samples=12)
    utility = replayed(UTILITY_SWEEP, folds_of(table))
    alike = replace(
        table, samples=(random.random((300, 2, 12)) < np.array([[[0.4], [0.6]]])).astype(float)
    )
    found, nothing = without_luck(table, utility, 400), without_luck(alike, utility, 400)
    assert 0 < found.share_of_luck < 1
    assert found.gap_closed.mean > found.gap_closed_to_lucky.mean > 0
    # Where all prompts are alike, all that an oracle wins is luck.
    assert nothing.share_of_luck > 0.9
    assert without_luck(TABLE, utility) is None


def test_replicates_are_paired_and_of_groups():
    random = np.random.default_rng(0)
    quality = random.random((500, 1)).astype(np.float32)
    points = {"one": Points(quality, quality + 1), "same": Points(quality, quality + 1)}
    single = resampled(points, [f"g{at}" for at in range(500)], 2000)
    assert np.array_equal(single["one"][1], single["same"][1])
    found = interval(single["one"][1][:, 0])
    error = quality.std() / np.sqrt(500)
    assert found.mean == pytest.approx(quality.mean())
    assert (found.high - found.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.1)
    pairs = {"one": points["one"].rows(np.repeat(np.arange(250), 2))}
    doubled = resampled(pairs, [f"g{at // 2}" for at in range(500)], 2000)
    spread_of = interval(doubled["one"][1][:, 0])
    assert (spread_of.high - spread_of.low) / (found.high - found.low) == pytest.approx(
        1.41, abs=0.2
    )


def test_tests_of_several_kinds_are_adjusted():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06}
    )
    assert chance_of_none(np.array([0.1, 0.2, 0.0, -0.1, 0.3])) == pytest.approx(3 / 5)
