"""Harm that rises after a long clean history: how soon it is seen, how seldom that is wrong."""

import numpy as np
import pytest
from numpy.typing import NDArray

from services.feedback.cells import Cell
from services.feedback.guardrail import Guardrail
from services.feedback.operators import Operators
from services.feedback.store import Memory, Store
from services.feedback.strictness import StrictnessLearning
from tests.feedback.conftest import OpenStore
from tests.feedback.servers import RedisServer
from tests.feedback.strictness import audit, certifying
from tests.feedback.test_store import snapshot
from tiercel.strictness.certification import Standard
from tiercel.strictness.detection import STAKES, HarmBets

EPSILON = 0.05
Flags = NDArray[np.bool_]


def first_alarms(harmed: Flags, run_length: float) -> NDArray[np.float64]:
    """The number of audits until an alarm in each run, [run, audit]; infinite without one."""
    won = np.zeros((len(harmed), len(STAKES)))
    found = np.full(len(harmed), np.inf)
    gain, stakes = (1 - EPSILON) / EPSILON, np.array(STAKES)
    for number, column in enumerate(harmed.T, 1):
        won = (1 + won) * np.where(column[:, None], 1 + stakes * gain, 1 - stakes)
        found[np.isinf(found) & (won.mean(axis=1) >= run_length)] = number
    return found


def drawn(runs: int, *spans: tuple[int, float]) -> Flags:
    """Audits of which so many are harmed with each chance, one span after the other."""
    chances = np.concatenate([np.full(number, chance) for number, chance in spans])
    return np.random.default_rng(3).random((runs, len(chances))) < chances


def contradicted_after(harmed: list[bool], standard: Standard) -> int:
    """The number of audits until the certificate is withdrawn, as the product judges."""
    bets = HarmBets()
    for number, one in enumerate(harmed, 1):
        bets = bets.after(harmed=one, epsilon=standard.epsilon)
        if standard.is_contradicted(number, sum(harmed[:number]), bets.doubt):
            return number
    raise AssertionError("never")


def test_after_500_clean_audits_harm_is_seen_within_a_few():
    runs = drawn(41, (500, 0.02), (300, 0.4)).tolist()
    waits = [contradicted_after(one, Standard()) - 500 for one in runs]
    alone = [contradicted_after(one, Standard(run_length=0.0)) - 500 for one in runs]
    assert np.median(waits) <= 20 and min(waits) > 0
    assert np.median(alone) > 80  # all audits together


def test_false_alarms_come_no_sooner_than_promised():
    """At the edge of what is allowed, and for a chance that swings below it."""
    edge = first_alarms(drawn(200, (4000, EPSILON)), 300.0)
    swinging = first_alarms(drawn(200, *[(20, EPSILON), (20, 0.01)] * 50), 300.0)
    assert np.minimum(edge, 4000).mean() >= 300
    assert np.minimum(swinging, 2000).mean() >= 300
    assert first_alarms(drawn(200, (2000, 2 * EPSILON)), 300.0).mean() < 150


def test_vectors_of_this_test_are_the_bets_of_the_product():
    [run] = drawn(1, (200, 0.02), (60, 0.4))
    [alarm] = first_alarms(run[None], 1e4)
    assert contradicted_after(run.tolist(), Standard(delta=1e-9)) == alarm


async def clean_history(store: Store, learning: StrictnessLearning) -> Cell:
    """Certify one level, then 250 running audits without harm."""
    await store.apply([certifying(0.9) for _ in range(STANDARD.num_audits)])
    await store.apply([audit(0.9) for _ in range(250)], learning.goals(await snapshot(store)))
    return Cell.of_strictness("lenient", "")


STANDARD = Standard(levels=(0.9,))
MEMORY = Memory(half_life_s=1e9, audits_per_level=STANDARD.num_audits)


async def test_the_store_bets_as_a_replay_does(redis: RedisServer, open_store: OpenStore):
    store, learning = open_store(redis.url, MEMORY), StrictnessLearning(STANDARD)
    led = await clean_history(store, learning)
    found = [bool(one) for one in drawn(1, (30, 0.3), (30, 0.02))[0]]
    goals = learning.goals(await snapshot(store))
    # A second delivery of an event is no second bet.
    events = [audit(0.9, harmed=one) for one in found]
    assert await store.apply([*events, *events], goals) == [True] * 60 + [False] * 60
    bets = HarmBets()
    for harmed in [False] * 250 + found:
        bets = bets.after(harmed=harmed, epsilon=STANDARD.epsilon)
    sums = (await snapshot(store)).cells[led]
    assert [sums[f"harm{i}"] for i in range(1, 7)] == pytest.approx(list(bets.won), rel=1e-12)
    assert sums["doubt"] == pytest.approx(bets.doubt, rel=1e-12)
    assert max(bets.won) < bets.doubt  # it was greater in between


async def test_a_certificate_with_a_long_clean_history_is_withdrawn_soon(
    valkey: RedisServer, open_store: OpenStore
):
    """Also if clean audits follow before anybody looks: the alarm stands."""
    store, learning = open_store(valkey.url, MEMORY), StrictnessLearning(STANDARD)
    await clean_history(store, learning)
    before = await snapshot(store)
    assert learning.violations(before) == [] and learning.policies(before)[0].certified
    late = [audit(0.9, harmed=harmed) for harmed in (True, True, False, True, True, True)]
    await store.apply(late + [audit(0.9) for _ in range(30)], learning.goals(before))
    found = await snapshot(store)
    [violation] = learning.violations(found)
    assert (violation.num_audits, violation.num_harmed) == (286, 5)
    assert not learning.policies(found)[0].certified
    only_all = StrictnessLearning(Standard(levels=(0.9,), run_length=0.0))
    assert only_all.violations(found) == []
    operators = Operators(store._connection)
    await Guardrail(learning, operators).check(found)
    [change] = await operators.history(9)
    assert "5 of 286 audits found harm" in change.reason and "alarm at 10000" in change.reason
    assert learning.violations(await snapshot(store)) == []
