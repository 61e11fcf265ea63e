"""Plans change below the root on the open stream, when replicas tell that another is quicker."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from prometheus_client import REGISTRY

from services.router import replanning, watching
from tests.router.routers import configuration_file, eventually, reply, request, routing, settled
from tests.router.scripted_tier import Script, answer, serving
from tiercel.plan_text import parse_plan
from tiercel.v1 import tier_pb2

PLANS = {"pair": "target <- draft", "alone": "target", "fixed": "target <- draft:4"}
SPARE = {"spare": "target <- other:4"}
QUICK, SLOW = 0.001, 1.0
NUM_TOKENS = 40


def told(**draft_s: float) -> dict:
    """What the root says: a tenth of a second a pass, and what its drafters take a token."""
    records = [
        tier_pb2.DrafterRecord(
            drafter=drafter,
            num_accepted_tokens=900.0,
            num_rejected_tokens=100.0,
            draft_s_per_token=seconds,
            latency_s=4 * seconds,
        )
        for drafter, seconds in draft_s.items()
    ]
    return {"speed": tier_pb2.Speed(pass_s=0.1), "drafters": records}


@pytest.fixture(autouse=True)
def patient_looks(monkeypatch):
    """On a busy machine a replica is late, not gone."""
    monkeypatch.setattr(watching, "_TIMEOUT_S", 60.0)


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


async def served(stack, tmp_path, plans, **settings):
    """A router over a root that says three tokens and then waits, and two drafters."""
    target = Script(fault="silent", about=told(draft=QUICK, other=QUICK))
    places = {}
    for script in (target, Script(tier="draft"), Script(tier="other")):
        places[script.tier] = [await stack.enter_async_context(serving(script))]
    config = configuration_file(tmp_path, places, plans, drafters=["draft", "other"])
    # A root that is silent is not to be taken for dead.
    calm = {"heartbeat_s": 120.0} | settings
    return target, await stack.enter_async_context(routing(config, **calm))


async def several_looks(target: Script) -> None:
    number = target.num_described
    await eventually(lambda: target.num_described >= number + 5)


def num_replans(plan: str) -> float:
    return REGISTRY.get_sample_value("tiercel_router_replans_total", {"plan": plan}) or 0.0


@pytest.mark.parametrize(
    ("more", "name", "drafters"), [({}, "alone", []), (SPARE, "spare", ["other"])]
)
async def test_a_drafter_that_becomes_slow_is_left_in_mid_answer(
    stack, tmp_path, monkeypatch, more, name, drafters
):
    monkeypatch.setattr(replanning, "_REST_S", 0.0)
    target, client = await served(stack, tmp_path, PLANS | more)
    before = num_replans(name)
    asking = asyncio.create_task(reply(client, request(max_new_tokens=NUM_TOKENS)))
    await target.stuck.wait()
    await several_looks(target)
    assert target.replans == [], "nothing moved yet"
    target.about = told(draft=SLOW, other=QUICK)
    await eventually(lambda: target.replans)
    await several_looks(target)
    target.goes_on.set()
    whole = await asking
    assert whole.token_ids == answer(5, NUM_TOKENS)
    (changed,) = target.replans
    opened = target.opens[0].plan
    assert [one.tier for one in opened.drafters] == ["draft"]
    assert (changed.tier, changed.address) == (opened.tier, opened.address)
    assert [one.tier for one in changed.drafters] == drafters
    assert all(one.address for one in changed.drafters)
    assert changed.version > opened.version
    assert num_replans(name) == before + 1


async def test_what_a_caller_asked_for_stays(stack, tmp_path):
    target, client = await served(stack, tmp_path, PLANS)
    own = ["pair", "fixed", parse_plan("target <- draft"), parse_plan("target <- draft:2")]
    asking = [
        asyncio.create_task(reply(client, request(max_new_tokens=NUM_TOKENS, plan=plan)))
        for plan in [*own, None]
    ]
    await eventually(lambda: len(target.opens) == len(asking))
    target.about = told(draft=SLOW)
    await eventually(lambda: target.replans)
    await several_looks(target)
    target.goes_on.set()
    for whole in await asyncio.gather(*asking):
        assert whole.token_ids == answer(5, NUM_TOKENS)
    assert len(target.replans) == 1, "that of the caller who left it to the router"


async def test_replanning_can_be_switched_off(stack, tmp_path):
    target, client = await served(stack, tmp_path, PLANS, replanning=False)
    asking = asyncio.create_task(reply(client, request(max_new_tokens=NUM_TOKENS)))
    await target.stuck.wait()
    target.about = told(draft=SLOW)
    await several_looks(target)
    target.goes_on.set()
    assert (await asking).token_ids == answer(5, NUM_TOKENS)
    assert target.replans == []


async def test_a_root_whose_model_is_away_is_priced_and_answers(stack, tmp_path):
    away = {"residency": tier_pb2.RESIDENCY_AWAY, "load_s": 7.0}
    large, small = Script(about=told() | away), Script(tier="small", about=told())
    places = {one.tier: [await stack.enter_async_context(serving(one))] for one in (large, small)}
    config = configuration_file(tmp_path, places, {"large": "target", "small": "small"})
    client = await settled(stack, config)
    decision = await client.route(request(policy="cost_only"))
    seconds = {one.plan_name: one.predicted_s for one in decision.candidates}
    assert seconds["large"] == pytest.approx(seconds["small"] + 7.0)
    assert (await reply(client, request(plan="large"))).token_ids == answer(5, 12)
