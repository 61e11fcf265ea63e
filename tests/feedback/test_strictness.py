"""Strictness from the first audit to a certificate, then led by divergence, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.feedback.cells import Cell, Snapshot
from services.feedback.guardrail import Guardrail
from services.feedback.operators import Operators
from services.feedback.settings import Settings
from services.feedback.store import Memory
from services.feedback.strictness import StrictnessLearning
from tests.feedback.calls import get, report, until_version, watch
from tests.feedback.conftest import OpenStore, StartService, Stub
from tests.feedback.servers import RedisServer
from tests.feedback.strictness import (
    RULE,
    SETTINGS,
    answer,
    audit,
    certificate,
    certifying,
    of_rule,
)
from tests.feedback.test_operators import exported, history, imported
from tests.feedback.test_store import snapshot
from tiercel import config
from tiercel.errors import InvalidRequest
from tiercel.types import Rule
from tiercel.v1 import feedback_pb2 as pb


@pytest.fixture
async def stub(redis: RedisServer, start_service: StartService) -> Stub:
    return await start_service(redis.url, **SETTINGS)


@pytest.fixture
async def certified(stub: Stub) -> AsyncIterator[Stub]:
    await report(stub, *certificate())
    assert of_rule(await get(stub)).certified
    yield stub


async def strictness(stub: Stub, kind: str = "") -> float:
    return of_rule(await get(stub), kind).strictness


async def test_audits_go_from_strict_to_lenient_until_one_level_fails(stub: Stub):
    assert (await get(stub)).strictness == ()
    await report(stub, answer(0.9, 0.2))
    first = of_rule(await get(stub))
    assert (first.strictness, first.certified, first.target_divergence) == (0.9, False, None)
    assert (first.num_answers, first.num_audits, first.harm_bound) == (1, 0, 1.0)
    assert first.divergence == pytest.approx(0.2)
    await report(stub, certifying(0.9), certifying(0.9))
    assert await strictness(stub) == 0.7
    await report(stub, certifying(0.7), certifying(0.7), certifying(0.5))
    assert not of_rule(await get(stub)).certified
    await report(stub, certifying(0.5, harmed=True))
    found = of_rule(await get(stub))
    assert (found.certified, found.strictness) == (True, 0.7)
    assert found.target_divergence == pytest.approx(0.1)
    assert (found.num_audits, found.harm_bound) == (0, 1.0)


async def test_a_level_is_looked_at_once(stub: Stub):
    """Further audits of a level that failed cannot make it pass, however clean."""
    await report(stub, certifying(0.9, harmed=True), certifying(0.9))
    await report(stub, *(certifying(0.9) for _ in range(30)))
    found = of_rule(await get(stub))
    assert (found.num_audits, found.num_harmed, found.certified) == (2, 1, False)
    assert found.strictness == 1.0


async def test_a_kind_has_a_certificate_of_its_own(stub: Stub):
    await report(stub, *certificate("maths"), certifying(0.9, harmed=True, kind="code"))
    policy = await get(stub)
    assert [one.kind for one in policy.strictness] == ["", "code", "maths"]
    assert of_rule(policy, "maths").certified and not of_rule(policy, "code").certified
    assert of_rule(policy, "code").strictness == 1.0


async def test_strictness_follows_divergence_a_bounded_step_at_a_time(certified: Stub):
    await report(certified, answer(0.7, 0.5))
    assert await strictness(certified) == 0.7  # one answer is not enough
    await report(certified, answer(0.7, 0.5))
    assert await strictness(certified) == pytest.approx(0.8)  # 0.4 too much, a step of 0.1
    now = await strictness(certified)
    await report(certified, answer(now, 0.07), answer(now, 0.05))
    assert await strictness(certified) == pytest.approx(0.72)
    now = await strictness(certified)
    await report(certified, answer(now, 0.103), answer(now, 0.105))
    assert await strictness(certified) == now  # in the dead band
    await report(certified, answer(now, 0.0), answer(now, 0.0))
    assert await strictness(certified) == pytest.approx(now - 0.1)  # 0.1 too little, twice that


async def test_strictness_stays_between_the_last_level_and_exact(certified: Stub):
    for divergence, end in ((0.9, 0.99), (0.0, 0.5)):
        for _ in range(8):
            now = await strictness(certified)
            await report(certified, answer(now, divergence), answer(now, divergence))
        assert await strictness(certified) == end


async def test_answers_at_another_strictness_say_nothing(certified: Stub):
    await report(certified, *(answer(0.9, 0.5) for _ in range(10)))
    await report(certified, *(answer(0.7, 0.5, kind="maths") for _ in range(2)))
    assert await strictness(certified) == pytest.approx(0.8)
    # Those of before the step come late.
    await report(certified, *(answer(0.7, 0.9) for _ in range(10)))
    assert await strictness(certified) == pytest.approx(0.8)


async def test_an_answer_that_is_told_twice_leads_once(certified: Stub):
    event = answer(0.7, 0.5)
    assert await report(certified, event, event, event) == (1, 2)
    assert await strictness(certified) == 0.7


async def test_nothing_moves_while_it_is_frozen(certified: Stub):
    await certified.Freeze(pb.FreezeRequest(frozen=True, reason="drift"))
    await report(certified, *(answer(0.7, 0.5) for _ in range(4)))
    await report(certified, *(audit(0.7, harmed=True) for _ in range(9)))
    found = of_rule(await get(certified))
    assert (found.strictness, found.num_audits, found.frozen) == (0.7, 0, True)
    assert found.certified


async def test_it_is_put_back_carried_over_and_forgotten_with_the_rest(certified: Stub):
    await certified.Freeze(pb.FreezeRequest(frozen=False, reason="keep this"))
    before = await get(certified)
    await report(certified, answer(0.7, 0.5), answer(0.7, 0.5), audit(0.8))
    data = await exported(certified)
    moved = of_rule(await get(certified))
    assert moved.strictness == pytest.approx(0.8) and moved.num_audits == 1
    await certified.Rollback(pb.RollbackRequest(version=before.version - 1))
    assert of_rule(await get(certified)).strictness == 0.7
    await imported(certified, [data])
    assert of_rule(await get(certified)) == moved
    await certified.Reset(pb.ResetRequest(what="strictness"))
    assert (await get(certified)).strictness == ()
    assert b"strictness" not in await exported(certified)


async def test_running_audits_that_find_harm_withdraw_the_certificate_once(
    redis: RedisServer, start_service: StartService
):
    stubs = [await start_service(redis.url, **SETTINGS) for _ in range(2)]
    await report(stubs[0], *certificate(), *certificate("maths"))
    assert of_rule(await get(stubs[0])).certified
    await report(stubs[0], *(audit(0.7, harmed=True) for _ in range(3)), audit(0.2, harmed=True))
    found = of_rule(await get(stubs[0]))
    assert (found.num_audits, found.num_harmed, found.certified) == (3, 3, True)  # 0.2: not ours
    assert found.harm_bound == 1.0
    before = (await get(stubs[0])).version
    await report(stubs[0], audit(0.7, harmed=True))
    # One version by the audit, one by the guardrail of whichever is first.
    told = [await until_version(watch(stub), before + 2) for stub in stubs]
    found = of_rule(told[1])
    assert (found.certified, found.strictness, found.target_divergence) == (False, 0.9, None)
    assert of_rule(told[1], "maths").certified
    [change] = await history(stubs[0])
    assert (change.author, change.action) == ("a guardrail", "reset")
    assert "lenient for requests of all kinds: 4 of 4 audits" in change.reason


async def test_a_kind_that_lost_its_certificate_does_not_go_by_that_of_all(certified: Stub):
    await report(certified, *certificate("maths"))
    assert of_rule(await get(certified), "maths").certified
    await report(certified, *(audit(0.7) for _ in range(9)))
    await report(certified, *(audit(0.7, harmed=True, kind="maths") for _ in range(4)))
    async with asyncio.timeout(60):
        while of_rule(policy := await get(certified), "maths").strictness != 0.9:
            await asyncio.sleep(0.02)
    assert not of_rule(policy, "maths").certified
    assert of_rule(policy).certified


async def test_what_harm_was_found_is_withdrawn_once_and_stays_so(
    valkey: RedisServer, open_store: OpenStore
):
    store = open_store(valkey.url, Memory(audits_per_level=2))
    learning = config.load(Settings, ["--max-harm", "0.5", "--harm-doubt", "0.25"]).strictness()
    operators = Operators(store._connection)
    led, levels = Cell.of_strictness("lenient", ""), learning.standard.levels
    assert await operators.withdraw(led, [], 1, author="a guardrail", reason="late") == 0
    await store.apply([certifying(level) for level in levels for _ in range(2)])
    goals = learning.goals(await snapshot(store))
    await store.apply([audit(0.5, harmed=True) for _ in range(4)], goals)
    found = await snapshot(store)
    assert [one.num_harmed for one in learning.violations(found)] == [4]
    await Guardrail(learning, operators).check(replace(found, frozen="an operator's will"))
    assert await operators.history(9) == []
    for _ in range(2):  # as of two replicas
        await Guardrail(learning, operators).check(found)
    assert len(await operators.history(9)) == 1
    # Who has not heard of it yet leads nothing.
    await store.apply([answer(0.5, 0.5), audit(0.5)], goals)
    cells = (await snapshot(store)).cells
    words = {cell.subject[0] for cell in cells if cells[cell].get("audits") != 0}
    assert "rule" in words and not words & {"level", "strictness"}


async def test_audits_without_harm_lower_the_bound(certified: Stub):
    await report(certified, *(audit(0.7) for _ in range(20)), certifying(0.7, harmed=True))
    found = of_rule(await get(certified))
    assert found.certified and found.num_audits == 20
    assert 0 < found.harm_bound < 0.2


@pytest.mark.parametrize("first", [0.5, 0.99])
async def test_strictness_that_begins_wrong_goes_to_where_divergence_is_certified(
    valkey: RedisServer, start_service: StartService, first: float
):
    stub = await start_service(valkey.url, **SETTINGS, first_strictness=first)
    await report(stub, *certificate())
    assert await strictness(stub) == first
    for _ in range(25):
        now = await strictness(stub)
        divergence = 0.4 * (1 - now)  # 0.1 at 0.75
        await report(stub, answer(now, divergence), answer(now, divergence))
    assert await strictness(stub) == pytest.approx(0.75, abs=0.02)


def test_a_rule_may_be_certified_before_it_was_used():
    arguments = ["--certify", "lenient", "--strictness-levels", "0.8,0.6", "--max-harm", "0.01"]
    learning = config.load(Settings, arguments).strictness()
    [found] = learning.policies(Snapshot("e", 0))
    assert (found.rule, found.kind, found.strictness) == (Rule.LENIENT, "", 0.8)
    assert learning.standard.num_audits == 299


def test_levels_that_do_not_fall_are_refused():
    with pytest.raises(InvalidRequest, match="strictness_levels"):
        config.load(Settings, ["--strictness-levels", "0.6,0.8"]).strictness()


def test_at_most_three_kinds_are_certified_by_themselves():
    cells = {
        Cell.of_level("lenient", 0.95, kind): {"audits": audits, "harmed": 0.0, "divergence": 0.0}
        for kind, audits in {"": 50.0, "a": 5.0, "b": 9.0, "c": 7.0, "d": 6.0}.items()
    }
    cells[Cell.of_rule("exact", "")] = {"answers": 1.0, "divergence": 0.0}
    found = StrictnessLearning().policies(Snapshot("e", 1, cells))
    assert [(one.rule, one.kind) for one in found] == [(RULE, kind) for kind in ("", "b", "c", "d")]
