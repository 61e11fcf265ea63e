"""The router seen by its clients: decisions, refusals, tiers that come late, feedback away."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.router import fleet
from services.router.settings import Settings
from tests.addresses import free_address
from tests.router.routers import (
    configuration_file,
    eventually,
    reply,
    request,
    routing,
)
from tests.router.scripted_tier import Script, answer, serving
from tiercel import tiers
from tiercel.errors import InvalidRequest, NotFound, PlanRefused, Unavailable
from tiercel.plan_text import Outline, parse_plan, print_plan
from tiercel.replies import ReplicaState
from tiercel.types import FinishReason

PLANS = {"chain": "target <- draft:4 <- suffix:8", "alone": "target"}


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


async def over(stack, tmp_path, script: Script, **settings):
    """A router over one target that lives, and a draft and a suffix that do not."""
    address = await stack.enter_async_context(serving(script))
    places = {"target": [address], "draft": [free_address()], "suffix": [free_address()]}
    config = configuration_file(tmp_path, places, PLANS, drafters=["suffix"])
    return await stack.enter_async_context(routing(config, **settings))


async def test_the_default_plan_is_opened_with_every_address(stack, tmp_path):
    script = Script()
    client = await over(stack, tmp_path, script)
    whole = await reply(client, request())
    assert whole.decision.plan_name == "chain"
    assert (whole.decision.policy, whole.decision.propensity) == ("static", 1.0)
    assert print_plan(whole.decision.plan) == PLANS["chain"]
    assert all(part.address for part in whole.decision.plan.walk())
    assert script.opens[0].plan.drafters[0].drafters[0].num_speculative_tokens == 8
    assert whole.finished.decision_id == whole.decision.decision_id
    assert whole.finished.reason is FinishReason.LENGTH
    assert whole.finished.usage.total_s >= whole.finished.usage.time_to_first_token_s > 0


async def test_a_missing_seed_is_drawn_and_returned_and_gives_the_answer_again(stack, tmp_path):
    client = await over(stack, tmp_path, Script())
    first = await reply(client, request(seeded=False))
    other = await reply(client, request(seeded=False))
    assert first.finished.seed != other.finished.seed
    again = await reply(client, request(seed=first.finished.seed))
    assert again.token_ids == first.token_ids == answer(first.finished.seed, 12)


async def test_a_seed_of_zero_is_a_seed(stack, tmp_path):
    client = await over(stack, tmp_path, Script())
    assert (await reply(client, request(seed=0))).finished.seed == 0


async def test_a_named_plan_and_a_plan_spelled_out(stack, tmp_path):
    client = await over(stack, tmp_path, Script())
    named = await reply(client, request(plan="alone"))
    assert (named.decision.plan_name, named.decision.policy) == ("alone", "requested")
    spelled = await reply(client, request(plan=parse_plan("target <- suffix:3")))
    assert spelled.decision.plan_name == ""
    assert print_plan(spelled.decision.plan) == "target <- suffix:3"


@pytest.mark.parametrize(
    ("asked", "error", "why"),
    [
        (request(plan="none"), NotFound, "no plan 'none'; the plans here are chain, alone"),
        (
            request(plan=Outline("none")),
            NotFound,
            "no tier 'none'; the tiers here are target",
        ),
        (request(plan=Outline("suffix")), PlanRefused, "'suffix' is no verifier"),
        (request(plan=Outline("target", address="elsewhere:1")), PlanRefused, "'elsewhere:1'"),
        (request(policy="none"), NotFound, "no policy 'none' here; there is static"),
        (request(prompt=()), InvalidRequest, "prompt"),
        (request(max_new_tokens=0), InvalidRequest, "max_new_tokens"),
        (request(kind="k" * 200), InvalidRequest, "kind"),
        (request(request_id="r" * 200), InvalidRequest, "request_id"),
        (request(num_top_logprobs=21), InvalidRequest, "num_top_logprobs"),
    ],
)
async def test_what_is_refused_says_why(stack, tmp_path, asked, error, why):
    client = await over(stack, tmp_path, Script())
    with pytest.raises(error, match=why):
        await reply(client, asked)


async def test_route_decides_and_generates_nothing(stack, tmp_path):
    script = Script()
    client = await over(stack, tmp_path, script)
    decision = await client.route(request())
    assert (decision.plan_name, decision.propensity) == ("chain", 1.0)
    assert decision.reason
    assert script.opens == []


async def test_the_list_of_tiers_shows_state_and_problem(stack, tmp_path):
    client = await over(stack, tmp_path, Script())
    overview = await client.tiers()
    states = {replica.tier: replica for replica in overview.replicas}
    assert states["target"].state is ReplicaState.READY
    assert states["target"].description.numerics_id == "same"
    assert states["draft"].state is ReplicaState.UNREACHABLE
    assert "refused" in states["draft"].problem
    assert {plan.name: plan.is_default for plan in overview.plans} == {
        "chain": True,
        "alone": False,
    }


async def test_a_replica_of_another_tier_gets_no_work(stack, tmp_path):
    client = await over(stack, tmp_path, Script(tier="other"), max_outage_s=0.2)
    with pytest.raises(Unavailable, match="says that it is tier 'other'"):
        await reply(client, request())


async def test_no_replica_at_all_is_unavailable_after_the_longest_outage(stack, tmp_path):
    config = configuration_file(tmp_path, {"target": [free_address()]}, {"target": "target"})
    client = await stack.enter_async_context(routing(config, max_outage_s=0.3))
    with pytest.raises(Unavailable, match="no replica of tier 'target' takes work"):
        await reply(client, request())


async def test_a_tier_that_comes_late_is_waited_for(stack, tmp_path):
    address = free_address()
    config = configuration_file(tmp_path, {"target": [address]}, {"target": "target"})
    client = await stack.enter_async_context(routing(config))
    await eventually_unreachable(client)
    asking = asyncio.create_task(reply(client, request()))
    await asyncio.sleep(0.3)
    await stack.enter_async_context(serving(Script(), address))
    assert (await asking).token_ids == answer(5, 12)


async def test_a_tier_that_still_loads_is_not_ready_and_gets_no_work(stack, tmp_path):
    address, script, loaded = free_address(), Script(), asyncio.Event()
    config = configuration_file(tmp_path, {"target": [address]}, {"target": "target"})
    client = await stack.enter_async_context(routing(config))
    serves = asyncio.create_task(stack.enter_async_context(serving(script, address, loaded=loaded)))
    while (await client.tiers()).replicas[0].state is not ReplicaState.NOT_READY:
        await asyncio.sleep(0.02)
    asking = asyncio.create_task(reply(client, request()))
    await asyncio.sleep(0.3)
    assert script.opens == []
    loaded.set()
    assert (await asking).token_ids == answer(5, 12)
    await serves


async def eventually_unreachable(client) -> None:
    overview = await client.tiers()
    assert overview.replicas[0].state is ReplicaState.UNREACHABLE


@pytest.mark.parametrize("unreachable", [True, False])
async def test_a_lost_drafter_is_replaced_on_the_open_stream_and_others_avoid_it_if_it_is_gone(
    stack, tmp_path, unreachable, monkeypatch
):
    monkeypatch.setattr(fleet, "INHIBITED_S", 600.0)
    script = Script(fault="drafter_lost", unreachable=unreachable)
    address = await stack.enter_async_context(serving(script))
    drafts = [await stack.enter_async_context(serving(Script(tier="draft"))) for _ in range(2)]
    places = {"target": [address], "draft": drafts}
    config = configuration_file(tmp_path, places, {"pair": "target <- draft"})
    client = await stack.enter_async_context(routing(config))
    whole = await reply(client, request())
    assert whole.token_ids == answer(5, 12)
    await eventually(lambda: script.replans)
    before, after = script.opens[0].plan, script.replans[0]
    assert {before.drafters[0].address, after.drafters[0].address} == set(drafts)
    assert after.version > before.version
    assert after.address == before.address
    routes = [await client.route(request()) for _ in range(40)]
    left = {after.drafters[0].address} if unreachable else set(drafts)
    assert {decision.plan.drafters[0].address for decision in routes} == left


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f985"])
async def test_a_long_text_does_not_change_the_error(stack, tmp_path, letter):
    client = await over(stack, tmp_path, Script())
    with pytest.raises(NotFound, match=rf"^no plan '{letter * 200}.*\.\.\.$"):
        await client.route(request(plan=letter * 9000))


async def test_many_lost_replicas_are_unavailable(stack, tmp_path):
    addresses = [f"localhost:{port}" for port in range(1, 61)]  # nobody listens so low
    config = configuration_file(tmp_path, {"target": addresses}, {"target": "target"})
    client = await stack.enter_async_context(routing(config, max_outage_s=0.0))
    with pytest.raises(Unavailable, match="no replica of tier 'target' takes work"):
        await reply(client, request())


async def test_feedback_away_costs_nothing(stack, tmp_path):
    client = await over(stack, tmp_path, Script(), feedback=free_address())
    for _ in range(3):
        assert (await reply(client, request())).token_ids == answer(5, 12)


def test_the_defaults_are_those_of_the_built_in_configuration():
    assert Settings().address == tiers.load().router.address
