"""The step of a replay against that of the store, which is in Lua: equal answers, an equal end."""

import numpy as np
import pytest

from services.feedback.cells import Cell
from services.feedback.store import Memory, Store
from services.feedback.strictness import StrictnessLearning
from tests.feedback.conftest import OpenStore
from tests.feedback.servers import RedisServer
from tests.feedback.strictness import answer, certificate
from tests.feedback.test_store import snapshot
from tiercel.strictness.certification import Standard
from tiercel.strictness.following import Steering

TARGET = 0.1  # divergence of the audited answers of the certificate
STANDARD = Standard(epsilon=0.5, delta=0.25, levels=(0.9, 0.7, 0.5))


async def test_it_goes_where_the_store_goes(valkey: RedisServer, open_store: OpenStore):
    steering = Steering(gain=1.5, max_step=0.1, min_answers=1)
    memory = Memory(half_life_s=1e9, audits_per_level=2)
    store = Store(open_store(valkey.url)._connection, memory, steering)
    learning = StrictnessLearning(STANDARD, steering)
    await store.apply(certificate())
    goals = learning.goals(await snapshot(store))
    led, strictness, passed = Cell.of_strictness("lenient", ""), 0.7, set()
    # Far above, far below, and within the dead band: each bound is met.
    draws = np.random.default_rng(0).choice([0.0, 0.05, 0.098, 0.104, 0.15, 0.6], 60)
    for divergence in draws.tolist():
        await store.apply([answer(strictness, divergence)], goals)
        strictness = steering.stepped(strictness, divergence, TARGET, STANDARD.levels[-1])
        passed.add(strictness)
        found = (await snapshot(store)).cells[led]["strictness"]
        assert found == pytest.approx(strictness, abs=1e-12)
    assert {0.5, 0.99} <= passed
