"""What reaches a learner and when, regret by hand, and who gets over a change and who does not."""

from dataclasses import replace

import numpy as np
import pytest

from tests.evaluation.learning.worlds import LARGE, SMALL, prepared_of, problem_of, world_of
from tiercel.evaluation.learning.cells import Cells, Told
from tiercel.evaluation.learning.learner import FOREVER, Answer
from tiercel.evaluation.learning.learners import (
    GREEDY,
    LEARNERS,
    METALLM,
    NEVER_FORGETS,
    RANDOM,
    RATED,
    STATIC,
    THOMPSON,
    UTILITY,
)
from tiercel.evaluation.learning.measures import WINDOW, recovery, regret, utilities_of
from tiercel.evaluation.learning.replay import ALL, Course, Feedback, Stream, replayed
from tiercel.evaluation.learning.scenarios import Scale, Scenario, run
from tiercel.evaluation.learning.world import (
    NO_CHANGE,
    configured_price,
    new_price,
    quality_drop,
)
from tiercel.routing.policy import Odds, Situation

DROP = Scenario("quality drop", prepared_of().weighed(0.5), quality_drop(LARGE, 0.6))
RISE = Scenario("price rises", prepared_of().weighed(0.5), new_price(LARGE, 10.0))
SCALE = Scale(num_streams=6, num_before=1000, num_after=700)


class Listener:
    """Takes one plan, and keeps what it hears."""

    def __init__(self, plan: str) -> None:
        self.plan, self.costs, self.scores = plan, [], []

    def weigh(self, situation: Situation, at: int) -> Odds:
        return Odds.certain(self.plan, "always")

    def finished(self, answer: Answer) -> None:
        self.costs.append((answer.at, answer.cost))

    def rated(self, answer: Answer, score: float, at: int) -> None:
        self.scores.append((answer.at, at, score))


def heard(feedback: Feedback, change=NO_CHANGE, at: int = 50) -> tuple[Listener, Stream, Course]:
    world, stream, learner = world_of(), Stream.drawn(300, 400, seed=3), Listener(LARGE)
    course = Course.of(world, change, at)
    assert set(replayed(course, stream, learner, feedback)) == {1}
    return learner, stream, course


def test_scores_come_when_they_are_due_and_costs_at_once():
    learner, stream, course = heard(Feedback(delay=100))
    assert [at for at, _ in learner.costs] == list(range(400))
    assert [(at, due) for at, due, _ in learner.scores] == [(at, at + 101) for at in range(299)]
    own = course.before.scores[stream.rows, 1]
    assert [score for _, _, score in learner.scores] == own[:299].tolist()


def test_a_share_is_rated_and_a_share_of_that_is_flipped():
    learner, stream, course = heard(Feedback(share=0.5, flipped=0.2))
    at = np.array([one for one, _, _ in learner.scores])
    told = np.array([one for _, _, one in learner.scores])
    assert 160 < len(at) < 240
    wrong = told != course.before.scores[stream.rows[at], 1]
    assert 0.1 < wrong.mean() < 0.3


def test_a_change_comes_with_its_request_and_not_before():
    learner, *_ = heard(ALL, new_price(LARGE, 10.0), at=50)
    costs = [cost for _, cost in learner.costs]
    assert costs[:50] == [3.0] * 50 and costs[50:] == [30.0] * 350


def test_a_silent_drop_takes_a_share_of_one_plans_answers():
    before, after = DROP.prepared.world, DROP.change.make(DROP.prepared.world)
    assert (after.scores[:, 0] == before.scores[:, 0]).all()
    kept = after.scores[:, 1].sum() / before.scores[:, 1].sum()
    assert 0.3 < kept < 0.5
    assert "synthetic" in DROP.change.name
    assert set(before.best_of_kind) == {1} and set(after.best_of_kind) == {0}


def test_regret_is_what_the_references_have_more():
    world = replace(world_of(), scores=np.tile([[0.0, 1.0], [1.0, 1.0]], (150, 1)))
    stream = Stream(np.array([0, 1, 0, 1]), *np.zeros((3, 4)))
    found = utilities_of(Course.of(world, NO_CHANGE, 4), [stream], [np.array([0, 0, 1, 1])])
    # The small plan costs 0.05, the large one 0.15.
    assert found.learner[0].tolist() == pytest.approx([-0.05, 0.95, 0.85, 0.85])
    assert found.static[0].tolist() == pytest.approx([0.85] * 4)
    assert found.oracle[0].tolist() == pytest.approx([0.85, 0.95, 0.85, 0.95])
    both = replace_streams(found)
    assert regret(both).over_static.mean == pytest.approx(0.8)
    assert regret(both).over_oracle.mean == pytest.approx(1.0)


def replace_streams(found):
    """The same stream twice, as intervals need two."""
    return type(found)(*(np.repeat(getattr(found, name), 2, axis=0) for name in vars(found)))


@pytest.mark.parametrize("back_at", [0, 120])
def test_recovery_is_the_end_of_the_first_window_that_is_close(back_at: int):
    best = np.ones((6, 500))
    learner = np.where(np.arange(500) < back_at, 0.0, best)
    found = recovery(learner, best)
    # A window may miss 5 % of its 50 requests: two.
    end = WINDOW if not back_at else back_at - 2 + WINDOW
    assert (found.requests, found.low, found.high) == (end, end, end)
    assert found.is_within(end) and not found.is_within(end - 1)


def test_who_stays_below_is_never_back():
    found = recovery(np.full((6, 500), 0.94), np.ones((6, 500)))
    assert found.requests is None and not found.is_within(500)
    assert found.last_shortfall == pytest.approx(0.06)


def test_equal_seeds_give_equal_results():
    who = {name: LEARNERS[name] for name in (THOMPSON, GREEDY, METALLM)}
    scale = Scale(num_streams=2, num_before=60, num_after=120)
    results = [[one for one, _ in run(DROP, ALL, who, scale, 50.0)] for _ in range(2)]
    assert results[0] == results[1]
    assert results[0][0].seeds == (0, 1)
    other = run(DROP, ALL, who, replace(scale, seed=9), 50.0)[0][0]
    assert other.regret != results[0][0].regret


def test_who_forgets_gets_over_a_silent_drop_and_others_do_not():
    names = (THOMPSON, GREEDY, RATED, NEVER_FORGETS, UTILITY, STATIC)
    found = {one.learner: one for one, _ in run(DROP, ALL, pick(*names), SCALE, 200.0)}
    for name in (THOMPSON, GREEDY, RATED):
        assert found[name].recovery.is_within(650)
        assert found[name].regret.over_static.mean < 0  # no static plan is right before and after
    for name in (NEVER_FORGETS, UTILITY, STATIC):
        assert found[name].recovery.requests is None
        assert found[name].regret.over_static.mean > 0


def test_who_restarts_is_back_soon_without_forgetting_anything_else():
    steady, who = Scenario("steady", DROP.prepared, NO_CHANGE), pick(RATED, THOMPSON)

    def replay(scenario: Scenario, run_length: float):
        found = run(scenario, ALL, who, SCALE, FOREVER, run_length)
        return [one for one, _ in found]

    restarting, remembering = replay(DROP, 300.0), replay(DROP, 0.0)
    for sooner, later in zip(restarting, remembering, strict=True):
        assert sooner.recovery.is_within(200)
        assert later.recovery.requests is None
    assert replay(steady, 300.0) == replay(steady, 0.0)


def test_nobody_knows_of_a_drop_before_the_first_late_score():
    late, scale = Feedback("late", delay=400), replace(SCALE, num_streams=3, num_after=1100)
    [(found, _)] = run(DROP, late, pick(GREEDY), scale, 200.0)
    assert found.recovery.requests is not None and found.recovery.requests > 400


def test_a_price_is_learned_from_what_answers_cost_without_any_score():
    silence = Feedback("none", share=0.0)
    found = {
        one.learner: one for one, _ in run(RISE, silence, pick(THOMPSON, UTILITY), SCALE, 100.0)
    }
    assert found[THOMPSON].recovery.is_within(300)
    assert found[UTILITY].recovery.requests is None


def test_a_jump_of_costs_is_seen_within_a_few_answers_and_a_configured_price_at_once():
    silence, who = Feedback("none", share=0.0), pick(RATED, THOMPSON)
    known = Scenario("known", RISE.prepared, configured_price(LARGE, 10.0))
    seen = [one.recovery for one, _ in run(RISE, silence, who, SCALE, FOREVER, 300.0)]
    told = [one.recovery for one, _ in run(known, silence, who, SCALE, FOREVER)]
    slow = [one.recovery for one, _ in run(RISE, silence, who, SCALE, FOREVER)]
    for late, soon, at_once in zip(slow, seen, told, strict=True):
        assert at_once.requests == WINDOW
        assert WINDOW < soon.requests <= 2 * WINDOW + 25  # a snapshot, and the window
        assert late.requests is None or late.requests > soon.requests


def test_learners_are_better_than_chance_and_no_better_than_the_oracle():
    steady = Scenario("steady", prepared_of().weighed(0.5), NO_CHANGE)
    scale = replace(SCALE, num_before=100, num_after=300)
    found = {one.learner: one.regret for one, _ in run(steady, ALL, LEARNERS, scale, 200.0)}
    assert found[STATIC].over_static.mean == 0.0
    for name in (THOMPSON, NEVER_FORGETS, GREEDY, METALLM, RATED, UTILITY):
        assert found[name].over_static.mean < found[RANDOM].over_static.mean
        assert found[name].over_oracle.mean > 0


def kept(small: float, hostile: float) -> dict[str, float]:
    """Utility with so many hostile votes as a share of that without, where roots lie so apart."""
    steady = Scenario("steady", prepared_of(world_of(small=small)).weighed(0.5), NO_CHANGE)
    scale, who = Scale(num_streams=3, num_before=100, num_after=300), pick(RATED, THOMPSON)

    def utility(flipped: float) -> dict[str, float]:
        found = run(steady, Feedback("votes", flipped=flipped), who, scale, 200.0)
        return {one.learner: one.regret.mean_utility.mean for one, _ in found}

    honest = utility(0.0)
    return {name: found / honest[name] for name, found in utility(hostile).items()}


def test_a_fifth_of_hostile_votes_costs_little_and_most_of_them_a_lot():
    apart, close, most = kept(0.4, 0.2), kept(0.75, 0.2), kept(0.4, 0.7)
    for name in (RATED, THOMPSON):
        assert apart[name] >= 0.97
        assert close[name] >= 0.9  # 0.1 apart: less than what a fifth of the votes can move
        assert most[name] < 0.85


def test_ratings_and_costs_correct_forecasts_and_fade():
    world, cells = world_of(), Cells(problem_of(world_of(), half_life=10.0))
    situation = world.situations[0]
    for at in range(40):
        answer = Answer(at, situation, LARGE, cost=9.0)
        cells.spent(answer)
        cells.rated(answer, 0.0, at)
    forecast = situation.forecast(LARGE)
    now = Told(cells.ratings(LARGE, "sums", 39), cells.ratio(LARGE, 39)).forecast(forecast)
    assert now.quality < 0.4 < forecast.quality  # 14 of 40 ratings are left, against 20
    assert now.seconds == pytest.approx(3.0 * (5 + 14 * 3) / (5 + 14), rel=0.02)
    later = Told(cells.ratings(LARGE, "sums", 200), cells.ratio(LARGE, 200)).forecast(forecast)
    assert later.quality == pytest.approx(forecast.quality, abs=1e-3)
    assert later.seconds == pytest.approx(3.0, rel=1e-3)
    assert cells.ratings(SMALL, "sums", 39) == []


def pick(*names: str):
    return {name: LEARNERS[name] for name in names}
