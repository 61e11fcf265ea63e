"""Ratings of before a change are dropped: soon where there was one, hardly ever where not."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.feedback.cells import Cell
from services.feedback.drift import Vigilance, alarms
from services.feedback.operators import Operators
from services.feedback.qualities import root_qualities
from services.feedback.store import Memory, Store
from tests.feedback.conftest import OpenStore
from tests.feedback.rated import KINDS, RUN_LENGTH, Rated, rated, replay
from tests.feedback.servers import RedisServer
from tests.feedback.test_store import snapshot
from tiercel.learning import RootQuality

NEVER_S = 1e300


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


async def test_a_restart_comes_before_the_alarm_and_neither_holds_the_other_back(
    valkey: RedisServer, open_store: OpenStore
):
    store, vigilance = opened(open_store, valkey), Vigilance(warm_up=100)
    store._memory = replace(store._memory, vigilance=vigilance)
    await learn(store, rated(110, {"maths": 0.9}))
    bad = rated(90, {"maths": 0.2}, "b")
    await learn(store, bad[:25])
    assert len(await restarts(store)) == 1
    assert alarms(await snapshot(store), vigilance) == []
    await learn(store, bad[25:])
    [alarm] = alarms(await snapshot(store), vigilance)
    assert alarm.cell.subject == ("drift", "quality", "target")
    assert (await told(store))[""].mean < 0.3  # what is in force once learning is frozen


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
