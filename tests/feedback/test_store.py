"""The Lua steps on real servers: once each, forgetting, and nothing written that is not sound."""

import asyncio
import math
from dataclasses import replace

import pytest

from services.feedback.cells import Cell, Snapshot
from services.feedback.connection import Step
from services.feedback.store import Memory, Store
from tests.feedback.conftest import OpenStore
from tests.feedback.outcomes import outcome
from tests.feedback.servers import RedisServer
from tiercel.errors import InvalidRequest, Unavailable
from tiercel.learning import Rating

PAIR = Cell.of_pair("draft", "target", "")
TIER = Cell.of_tier("target", "")
LONG = Memory(half_life_s=1e9)


async def snapshot(store: Store) -> Snapshot:
    found = await store.read()
    assert found is not None
    return found


async def test_outcomes_add_up_without_loss_of_digits(redis: RedisServer, open_store: OpenStore):
    store = open_store(redis.url, LONG)
    seconds = 0.1 + 1e-16
    assert await store.apply([outcome(draft_s=seconds)]) == [True]
    assert (await snapshot(store)).cells[PAIR]["draft_s"] == seconds
    assert await store.apply([outcome()]) == [True]
    cells = (await snapshot(store)).cells
    assert cells[PAIR]["accepted"] == pytest.approx(180, rel=1e-6)
    assert cells[TIER]["passes"] == pytest.approx(50, rel=1e-6)
    assert cells[TIER]["width"] == pytest.approx(50 * 5, rel=1e-6)


async def test_a_kind_counts_for_itself_and_for_all(redis: RedisServer, open_store: OpenStore):
    store = open_store(redis.url, LONG)
    kind = 'a "kind" of 100 % {braces}\n'
    await store.apply([outcome(kind=kind), outcome()])
    cells = (await snapshot(store)).cells
    assert cells[Cell.of_pair("draft", "target", kind)]["accepted"] == pytest.approx(90, rel=1e-6)
    assert cells[PAIR]["accepted"] == pytest.approx(180, rel=1e-6)


async def test_an_event_counts_once(redis: RedisServer, open_store: OpenStore):
    store = open_store(redis.url, LONG)
    event = outcome()
    assert await store.apply([event, event]) == [True, False]
    assert await store.apply([event]) == [False]
    found = await snapshot(store)
    assert found.version == 1
    assert found.cells[PAIR]["accepted"] == pytest.approx(90, rel=1e-6)


async def test_replicas_that_get_the_same_events_at_once_count_each_once(
    redis: RedisServer, open_store: OpenStore
):
    stores = [open_store(redis.url, LONG) for _ in range(2)]
    events = [outcome(event_id=f"e{i}") for i in range(50)]
    replies = await asyncio.gather(*(s.apply([e]) for e in events for s in (*stores, *stores)))
    assert sum(applied for reply in replies for applied in reply) == 50
    first, second = [await snapshot(store) for store in stores]
    assert first == second
    assert first.version == 50
    assert first.cells[PAIR]["accepted"] == pytest.approx(50 * 90, rel=1e-6)


async def test_an_event_is_known_only_as_long_as_its_mark(
    valkey: RedisServer, open_store: OpenStore
):
    store = open_store(valkey.url, replace(LONG, dedup_s=0.05))
    event = outcome()
    await store.apply([event])
    await asyncio.sleep(0.1)
    assert await store.apply([event]) == [True]


async def test_old_outcomes_weigh_half_after_each_half_life(
    redis: RedisServer, open_store: OpenStore
):
    store = open_store(redis.url, Memory(half_life_s=0.2))
    await store.apply([outcome(accepted=0, rejected=100)])
    await asyncio.sleep(2.0)  # ten half-lives at the least: under 0.1 % is left
    await store.apply([outcome(accepted=100, rejected=0)])
    cells = (await snapshot(store)).cells
    assert 0 < cells[PAIR]["rejected"] < 0.1
    assert cells[PAIR]["accepted"] == 100


async def test_at_rest_nothing_is_forgotten_and_a_pair_out_of_use_fades(
    valkey: RedisServer, open_store: OpenStore
):
    store = open_store(valkey.url, Memory(half_life_s=0.2))
    await store.apply([outcome()])
    await asyncio.sleep(0.5)
    assert (await snapshot(store)).cells[PAIR]["accepted"] == 90
    await store.apply([outcome(drafter="another")])
    assert (await snapshot(store)).cells[PAIR]["accepted"] < 90 / 4


@pytest.mark.parametrize("amount", [math.nan, math.inf, -1.0])
async def test_an_unsound_amount_writes_nothing(
    redis: RedisServer, open_store: OpenStore, amount: float
):
    store = open_store(redis.url, LONG)
    await store.apply([outcome()])
    before = await snapshot(store)
    bad = outcome(event_id="bad", kind="maths", draft_s=amount)
    with pytest.raises(InvalidRequest):
        await store.apply([bad])
    assert await snapshot(store) == before
    assert await store.apply([outcome(event_id="bad")]) == [True], "its mark was left behind"


async def test_without_its_check_the_step_would_be_poisoned(
    valkey: RedisServer, open_store: OpenStore
):
    store = open_store(valkey.url, LONG)
    check = "if not sound(delta) then return nil, change.name end"
    assert check in store._apply.text
    store._apply = Step(store._apply.text.replace(check, ""))
    await store.apply([outcome(draft_s=math.nan)])
    assert PAIR not in (await snapshot(store)).cells


async def test_a_key_that_is_not_ours_leaves_no_mark(valkey: RedisServer, open_store: OpenStore):
    store = open_store(valkey.url, LONG)
    await store._connection.client.set(store._connection.key("state"), "somebody else's")
    with pytest.raises(Unavailable):
        await store.apply([outcome(event_id="e")])
    assert await store._connection.client.keys("*") == [store._connection.key("state")]


async def test_a_cell_that_was_spoiled_starts_again(valkey: RedisServer, open_store: OpenStore):
    store = open_store(valkey.url, LONG)
    await store.apply([outcome(), outcome()])
    await store._connection.client.hset(
        store._connection.key("cells"), PAIR.name, "accepted nan at 1"
    )
    assert PAIR not in (await snapshot(store)).cells
    await store.apply([outcome()])
    assert (await snapshot(store)).cells[PAIR]["accepted"] == 90


async def test_kinds_without_number_do_not_fill_the_store(
    redis: RedisServer, open_store: OpenStore
):
    store = open_store(redis.url, replace(LONG, max_cells=10))
    await store.apply([outcome(kind=f"kind {i}") for i in range(100)])
    await store.apply([outcome(drafter="late comer")])
    cells = (await snapshot(store)).cells
    assert len(cells) <= 20
    assert cells[PAIR]["accepted"] == pytest.approx(9000, rel=1e-6)
    assert Cell.of_pair("late comer", "target", "") in cells
    assert (
        int(
            await store._connection.client.hget(store._connection.key("state"), "num_refused_cells")
        )
        > 100
    )


async def test_stale_cells_make_room_for_new_ones(valkey: RedisServer, open_store: OpenStore):
    store = open_store(valkey.url, Memory(half_life_s=0.02, max_cells=4))
    await store.apply([outcome(kind="old")])
    await asyncio.sleep(0.5)
    await store.apply([outcome(kind="new")])
    cells = (await snapshot(store)).cells
    assert Cell.of_pair("draft", "target", "new") in cells
    assert Cell.of_pair("draft", "target", "old") not in cells


async def test_every_key_carries_the_one_hash_tag(valkey: RedisServer, open_store: OpenStore):
    store = open_store(valkey.url, namespace="mine")
    await store.apply([outcome()])
    await store.rate(Rating("r", "d", 1.0, "me"))
    await store.read()
    keys = await store._connection.client.keys("*")
    assert len(keys) == 6
    assert all(key.startswith("{mine}:feedback:2:") for key in keys)


async def test_a_rating_is_kept_once(redis: RedisServer, open_store: OpenStore):
    store = open_store(redis.url, LONG)
    await store.apply([outcome()])
    assert await store.rate(Rating("r1", "decision", 0.1, "ann"))
    assert not await store.rate(Rating("r1", "decision", 0.9, "ann"))
    assert await store.rate(Rating("r2", "decision", 0.5, "bob"))
    kept = await store._connection.client.hgetall(store._connection.key("rating:decision"))
    assert {rater: float(score) for rater, score in kept.items()} == {"ann": 0.1, "bob": 0.5}
    assert (await snapshot(store)).version == 1, "nothing learns from a rating yet"


async def test_a_store_that_went_back_in_time_is_another_epoch(
    redis: RedisServer, open_store: OpenStore
):
    store, other = open_store(redis.url, LONG), open_store(redis.url, LONG)
    await store.apply([outcome(), outcome()])
    newest = await snapshot(store)
    assert (newest.version, await store.read(newest)) == (2, None)
    await store._connection.client.hset(
        store._connection.key("state"), "version", 1
    )  # as in a backup
    restored = await store.read(newest)
    assert restored is not None
    assert restored.epoch != newest.epoch
    also = await other.read(newest)
    assert also is not None
    assert also.epoch == restored.epoch


async def test_an_emptied_store_is_another_epoch(valkey: RedisServer, open_store: OpenStore):
    store = open_store(valkey.url)
    await store.apply([outcome()])
    before = await snapshot(store)
    await store._connection.client.flushall()
    after = await store.read(before)
    assert after is not None
    assert (after.version, after.epoch == before.epoch) == (0, False)
