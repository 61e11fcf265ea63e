"""Each token exactly once and in order, whatever happens to the replica that made them."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.router import answer as answering
from tests.router.routers import configuration_file, eventually, reply, request, routing
from tests.router.scripted_tier import FINGERPRINT, PROMPT, Script, answer, serving
from tiercel.errors import DeadlineExceeded, ModelFault, Overloaded, Unavailable
from tiercel.types import FinishReason


async def fleet(stack: AsyncExitStack, tmp_path, *scripts: Script, **settings):
    """Serve the scripts as replicas of one tier, and a router over them."""
    addresses = [await stack.enter_async_context(serving(script)) for script in scripts]
    config = configuration_file(tmp_path, {"target": addresses}, {"target": "target"})
    return await stack.enter_async_context(routing(config, **settings))


@pytest.mark.parametrize("fault", ["unavailable", "silent", "ends", "repeats", "skips"])
async def test_another_replica_goes_on_with_what_was_committed(tmp_path, fault):
    async with AsyncExitStack() as stack:
        bad, good = Script(fault=fault), Script()
        client = await fleet(stack, tmp_path, bad, good, heartbeat_s=0.4)
        # Which replica is first is drawn; ask until the bad one was.
        while not bad.opens:
            whole = await reply(client, request())
        assert whole.token_ids == answer(5, 12)
        assert whole.text == "".join(f"{token} " for token in answer(5, 12))
        assert (whole.finished.num_failovers, whole.finished.exact) == (1, True)
        resumed = good.opens[-1]
        assert list(resumed.prompt.ids.token_ids) == PROMPT
        assert resumed.prompt.ids.tokenizer_fingerprint == FINGERPRINT
        number = len(resumed.committed_token_ids)
        assert number > 0
        assert list(resumed.committed_token_ids) == answer(5, 12)[:number]
        assert resumed.sampling.seed == 5
        usage = whole.finished.usage
        assert usage.num_completion_tokens == 12
        assert [tier.num_committed_tokens for tier in usage.tiers] == [12]


async def test_without_a_fault_there_is_no_failover(tmp_path):
    async with AsyncExitStack() as stack:
        client = await fleet(stack, tmp_path, Script(), Script())
        whole = await reply(client, request())
        assert whole.token_ids == answer(5, 12)
        assert (whole.finished.num_failovers, whole.finished.exact) == (0, True)


async def test_a_replica_of_other_numerics_goes_on_and_the_end_says_so(tmp_path):
    async with AsyncExitStack() as stack:
        bad, other = Script(fault="unavailable"), Script(numerics_id="other")
        client = await fleet(stack, tmp_path, bad, other)
        while not bad.opens:
            whole = await reply(client, request())
        assert whole.token_ids == answer(5, 12)
        assert (whole.finished.num_failovers, whole.finished.exact) == (1, False)


async def test_equal_numerics_go_before_others(tmp_path):
    async with AsyncExitStack() as stack:
        bad, good = Script(fault="unavailable"), Script()
        others = [Script(numerics_id="other") for _ in range(3)]
        client = await fleet(stack, tmp_path, bad, good, *others)
        while not bad.opens:
            whole = await reply(client, request())
        assert whole.finished.exact


async def test_a_lone_replica_that_fails_again_and_again_is_resumed_until_it_is_done(tmp_path):
    async with AsyncExitStack() as stack:
        flaky = Script(fault="unavailable", good_tokens=4)
        client = await fleet(stack, tmp_path, flaky)
        whole = await reply(client, request(max_new_tokens=10))
        assert whole.token_ids == answer(5, 10)
        assert whole.finished.num_failovers == 2


async def test_a_replica_that_never_makes_progress_is_given_up(tmp_path):
    async with AsyncExitStack() as stack:
        dead = Script(fault="unavailable", good_tokens=0)
        client = await fleet(stack, tmp_path, dead, max_outage_s=0.5)
        with pytest.raises(Unavailable, match=r"the tier dies|takes work"):
            await reply(client, request())


async def test_a_replica_that_comes_back_on_its_address_goes_on(tmp_path):
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        script = Script(fault="silent")
        address = await first.enter_async_context(serving(script))
        config = configuration_file(tmp_path, {"target": [address]}, {"target": "target"})
        client = await stack.enter_async_context(routing(config, heartbeat_s=10.0))
        asking = asyncio.create_task(reply(client, request(max_new_tokens=20)))
        await script.stuck.wait()
        await first.aclose()
        await stack.enter_async_context(serving(Script(), address))
        whole = await asking
        assert whole.token_ids == answer(5, 20)
        assert whole.finished.num_failovers >= 1


async def test_a_model_fault_ends_the_request_and_is_not_tried_elsewhere(tmp_path):
    async with AsyncExitStack() as stack:
        scripts = [Script(fault="fault"), Script(fault="fault")]
        client = await fleet(stack, tmp_path, *scripts)
        with pytest.raises(ModelFault, match="NaN"):
            await reply(client, request())
        assert sum(len(script.opens) for script in scripts) == 1


async def test_a_full_replica_is_passed_over_and_all_full_is_told(tmp_path):
    async with AsyncExitStack() as stack:
        full, free = Script(fault="full"), Script()
        client = await fleet(stack, tmp_path, full, free)
        for _ in range(6):
            assert (await reply(client, request())).token_ids == answer(5, 12)
        free.fault = "full"
        with pytest.raises(Overloaded, match="is full"):
            await reply(client, request())


async def test_the_end_comes_when_the_time_is_up(tmp_path):
    async with AsyncExitStack() as stack:
        slow = Script(step_s=0.05)
        client = await fleet(stack, tmp_path, slow, max_request_s=1.5)
        whole = await reply(client, request(max_new_tokens=1000))
        assert whole.finished.reason is FinishReason.DEADLINE
        assert 0 < len(whole.token_ids) < 1000
        assert whole.token_ids == answer(5, len(whole.token_ids))
        assert whole.finished.usage.num_completion_tokens == len(whole.token_ids)
        await eventually(lambda: slow.num_sessions == 0)


async def test_waiting_for_a_replica_ends_when_the_time_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(answering, "_MIN_WAIT_S", 1e6)
    monkeypatch.setattr(answering, "_MAX_WAIT_S", 1e6)
    config = configuration_file(tmp_path, {"target": ["localhost:1"]}, {"target": "target"})
    async with routing(config, max_request_s=0.3, max_outage_s=1e6) as client:
        with pytest.raises(DeadlineExceeded, match="the request's time is up"):
            await reply(client, request())


async def test_a_client_that_leaves_frees_the_session_with_a_clean_end(tmp_path):
    async with AsyncExitStack() as stack:
        slow = Script(step_s=0.05)
        client = await fleet(stack, tmp_path, slow)
        stream = client.generate(request(max_new_tokens=1000))
        await anext(stream)
        await anext(stream)
        assert slow.num_sessions == 1
        await stream.aclose()
        await eventually(lambda: slow.num_sessions == 0)
        assert slow.num_finishes == 1
