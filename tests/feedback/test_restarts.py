"""Ratings of before a change are dropped: soon where there was one, hardly ever where not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from services.feedback.cells import Cell
from services.feedback.operators import Operators
from services.feedback.qualities import root_qualities
from services.feedback.store import Memory, Store
from tests.feedback.conftest import OpenStore
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tests.feedback.test_store import snapshot
from tiercel.evaluation.learning.cells import Cells
from tiercel.evaluation.learning.learner import FOREVER, Answer, Clock, Prior, Problem
from tiercel.evaluation.learning.restarts import Watch, tolerance_of
from tiercel.learning import Outcome, Rating, RootQuality
from tiercel.routing.policy import Forecast, Situation
from tiercel.types import Plan

NEVER_S, RUN_LENGTH = 1e300, 300.0
KINDS = ("maths", "code")


@dataclass(frozen=True)
class Rated:
    """An answer of one root, what was predicted of it, and what somebody made of it."""

    name: str
    kind: str
    predicted: float | None
    score: float

    @property
    def outcome(self) -> Outcome:
        one = replace(outcome(event_id=self.name, kind=self.kind), decision_id=self.name)
        return replace(one, plan=Plan("target"), predicted_quality=self.predicted)

    @property
    def rating(self) -> Rating:
        return Rating(f"rating {self.name}", self.name, self.score, f"rater {self.name}")


def rated(
    number: int, good: dict[str, float], name: str = "a", *, predicts: bool = True, seed: int = 0
) -> list[Rated]:
    """Answers of kinds that are good with these chances; predictions are of before any change."""
    random, kinds = np.random.default_rng(seed), list(good)
    found = []
    for at in range(number):
        kind, noise = kinds[at % len(kinds)], float(random.uniform(-0.1, 0.1))
        score = float(random.random() < good[kind])
        predicted = 0.8 + noise if predicts else None
        found.append(Rated(f"{name}{at}", kind, predicted, score))
    return found


def opened(open_store: OpenStore, server: RedisServer, run_length: float = RUN_LENGTH) -> Store:
    memory = Memory(half_life_s=NEVER_S, rating_half_life_s=NEVER_S, max_ratings_per_rater=10**6)
    return open_store(server.url, replace(memory, restart_run_length=run_length))


async def learn(store: Store, answers: Sequence[Rated]) -> None:
    await store.apply([one.outcome for one in answers])
    for one in answers:
        await store.rate(one.rating)


async def told(store: Store) -> dict[str, RootQuality]:
    return {one.kind: one for one in root_qualities((await snapshot(store)).cells)}


async def restarts(store: Store) -> list[str]:
    changes = await Operators(store._connection).history(99)
    return [one.reason for one in changes if one.action == "restarted"]


def replay(answers: Sequence[Rated], run_length: float = RUN_LENGTH) -> Cells:
    """The same ratings through what replays have in place of a store."""
    priors = {kind: {"target": Prior(0.8, 1.0)} for kind in KINDS}
    cells = Cells(Problem(("target",), 0.0, 0, priors, FOREVER, 1, run_length))
    for at, one in enumerate(answers):
        situation = Situation((Forecast("target", 1.0, one.predicted),), "target", kind=one.kind)
        cells.rated(Answer(at, situation, "target", 1.0), one.score, at)
    return cells


def seen_after(before: float, then: float, seed: int, number: int = 300) -> int | None:
    """The number of ratings after a change until old ones are dropped, as in a replay."""
    cells = replay(rated(400, {"maths": before}, "a", seed=seed))
    [known, _] = cells.ratings("target", "maths", 400)
    for at, one in enumerate(rated(number, {"maths": then}, "b", seed=seed + 1000)):
        situation = Situation((Forecast("target", 1.0, one.predicted),), "target", kind="maths")
        cells.rated(Answer(at, situation, "target", 1.0), one.score, 400 + at)
        if cells.ratings("target", "maths", 400)[0].num_ratings <= known.num_ratings + at:
            return at + 1
    return None


@pytest.mark.parametrize(("before", "then"), [(0.85, 0.5), (0.5, 0.85)])
def test_a_change_is_seen_within_a_few_ratings(before: float, then: float):
    waits = [seen_after(before, then, seed) for seed in range(21)]
    assert None not in waits
    assert np.median(waits) <= 45 and max(waits) < 150


def mean_run_length(good: float, expected: float, tolerance: float, most: int = 4000) -> float:
    """Ratings until a restart, on average over runs; those without one are cut off."""
    random, found = np.random.default_rng(4), []
    for _ in range(30):
        watch = Watch(100.0)
        for number in range(1, most + 1):
            residual = float(random.random() < good) - expected
            clock = Clock(number, FOREVER)
            if watch.see(residual, tolerance, (1.0, residual), clock) is not None:
                break
        found.append(number)
    return float(np.mean(found))


def test_restarts_for_nothing_come_no_sooner_than_promised():
    """Also at the very edge of what is no change; beyond it they come soon."""
    assert mean_run_length(0.5, 0.5, 0.05) >= 1000
    assert mean_run_length(0.5, 0.55, 0.05) >= 100
    assert mean_run_length(0.5, 0.8, 0.05) < 40


def test_the_fewer_ratings_the_farther_their_mean_may_lie():
    assert [tolerance_of(one) for one in (1, 100, 1e6)] == [0.5, 0.05, 0.02]


async def test_the_store_restarts_as_a_replay_does(redis: RedisServer, open_store: OpenStore):
    store = opened(open_store, redis)
    answers = rated(120, dict.fromkeys(KINDS, 0.9)) + rated(60, dict.fromkeys(KINDS, 0.4), "b")
    answers += rated(60, {"maths": 0.4, "code": 1.0}, "c")
    for end in (120, 135, 180, 240):
        await learn(store, answers[:end])  # what came before is delivered twice, or more often
        found, cells = await told(store), replay(answers[:end])
        for kind in KINDS:
            for one in cells.ratings("target", kind, end):
                own = found[one.kind]
                assert own.num_predicted == pytest.approx(one.num_predicted, rel=1e-12)
                assert own.excess == pytest.approx(one.excess, abs=1e-12)
    assert found["code"].num_ratings < 60 < found[""].num_ratings < 120
    assert found["code"].mean > 0.8 > 0.6 > found["maths"].mean
    later, first = await restarts(store)
    assert first.startswith("ratings of target, requests of all kinds, from before they went down")
    assert later.startswith("ratings of target, requests of kind code, from before they went up")


async def test_without_predictions_means_are_watched_and_0_turns_it_off(
    valkey: RedisServer, open_store: OpenStore
):
    store = opened(open_store, valkey)
    answers = [
        one
        for name, good in (("a", 0.9), ("b", 0.3))
        for one in rated(100, {"maths": good}, name, predicts=False)
    ]
    await learn(store, answers)
    assert len(await restarts(store)) == 1
    assert (await told(store))["maths"].num_ratings < 120
    await Operators(store._connection).reset("", author="me", reason="")
    off = opened(open_store, valkey, run_length=0.0)
    await learn(off, [replace(one, name=f"again {one.name}") for one in answers])
    assert len(await restarts(off)) == 1  # the one of before
    assert (await told(off))["maths"].num_ratings == 200
    assert all(cell.subject[0] != "restart" for cell in (await snapshot(off)).cells)


async def test_one_kind_restarts_alone_and_counts_anew_among_all(
    valkey: RedisServer, open_store: OpenStore
):
    store = opened(open_store, valkey)
    steady = {"code": 0.8, "a": 0.8, "b": 0.8, "c": 0.8}
    await learn(store, rated(160, steady))
    await learn(store, rated(120, steady | {"code": 0.0}, "b"))
    after = await told(store)
    [reason] = await restarts(store)
    assert "requests of kind code, from before they went down" in reason
    assert after["code"].num_ratings <= 35 and after["code"].mean < 0.2
    assert after["a"].num_ratings == pytest.approx(70)
    # Among all kinds, too, those of before are gone.
    assert after[""].num_ratings == pytest.approx(210 + after["code"].num_ratings)
    sums = (await snapshot(store)).cells
    total = sum(sums[Cell.of_quality("target", kind)]["score"] for kind in steady)
    assert sums[Cell.of_quality("target", "")]["score"] == pytest.approx(total)


async def test_another_mix_of_kinds_is_no_change(valkey: RedisServer, open_store: OpenStore):
    """Nor is what only differs by kind: each is held against what is known of its own."""
    store = opened(open_store, valkey)
    good = {"maths": 0.95, "code": 0.4}
    await learn(store, rated(200, good, predicts=False))
    for name, kind in (("b", "code"), ("c", "maths")):
        await learn(store, rated(120, {kind: good[kind]}, name, predicts=False))
    assert await restarts(store) == []


async def test_forgetting_ratings_forgets_the_watch_and_an_import_goes_on_with_it(
    valkey: RedisServer, open_store: OpenStore
):
    store = opened(open_store, valkey)
    operators = Operators(store._connection)
    await learn(store, rated(100, {"maths": 0.9}))
    bad = rated(60, {"maths": 0.2}, "b")
    await learn(store, bad[:6])
    kept = [line.decode() async for line in operators.export()]
    watched = [line for line in kept if '\\"restart\\"' in line]
    assert len(watched) == 2 and all("down:ratings" in line for line in watched)
    await operators.reset("qualities", author="me", reason="")
    words = {cell.subject[0] for cell in (await snapshot(store)).cells}
    assert words.isdisjoint({"quality", "restart"})
    await operators.restore(kept, author="me", reason="")
    await learn(store, bad[6:])
    through = replay([*rated(100, {"maths": 0.9}), *bad])
    [whole, _] = through.ratings("target", "maths", 160)
    assert (await told(store))[""].num_predicted == pytest.approx(whole.num_predicted)
    assert whole.num_predicted < 100
    assert len(await restarts(store)) == 1


async def test_votes_of_little_weight_move_the_watch_little(
    valkey: RedisServer, open_store: OpenStore
):
    """Of one rater who rates all the time, where another's as many would be a change."""
    store = opened(open_store, valkey)
    good, bad = rated(100, {"maths": 0.9}), rated(80, {"maths": 0.0}, "b")
    await learn(store, good)
    await store.apply([one.outcome for one in bad])
    lone = replace(store._memory, max_rater_weight=2.0)
    store._memory = lone
    for one in bad:
        await store.rate(replace(one.rating, rater="hater"))
    assert await restarts(store) == []
    await learn(store, rated(80, {"maths": 0.0}, "c"))
    assert len(await restarts(store)) == 1
