"""The router over real tiers in processes of their own, killed and stopped in mid-answer."""

import asyncio
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.router.processes import TierProcess
from tests.router.routers import Reply, configuration_file, reply, request, routing
from tiercel.clients.router import RouterClient
from tiercel.replies import Committed, ReplicaState
from tiercel.types import FinishReason

PLANS = {
    "alone": "target",
    "pair": "target <- suffix:6",
    "chain": "target <- draft:4 <- suffix:6",
}
PROMPT = "Once upon a time there was a falcon, and the falcon was small."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiers")


@pytest.fixture(scope="module")
def running(folder: Path):
    started = {
        "target": [TierProcess(folder, "verifier", "target", dtype="fp32") for _ in range(2)],
        "draft": [TierProcess(folder, "verifier", "draft", dtype="int8")],
        "suffix": [TierProcess(folder, "drafter", "suffix", engine="suffix")],
    }
    yield started
    for replicas in started.values():
        for replica in replicas:
            replica.kill()


@pytest.fixture
def processes(running):
    """Two targets, a draft and a suffix index; what a test killed or stopped goes on after it."""
    yield running
    for replicas in running.values():
        for replica in replicas:
            replica.revive()


@pytest.fixture
async def client(tmp_path: Path, processes):
    addresses = {tier: [one.address for one in replicas] for tier, replicas in processes.items()}
    config = configuration_file(tmp_path, addresses, PLANS, drafters=["suffix"])
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(routing(config, heartbeat_s=10.0))
        await all_ready(client)
        yield client


async def all_ready(client: RouterClient) -> None:
    async with asyncio.timeout(170):
        while any(one.state is not ReplicaState.READY for one in (await client.tiers()).replicas):
            await asyncio.sleep(0.1)


def asked(plan: str, seed: int = 3, max_new_tokens: int = 160):
    fields = {"prompt": PROMPT, "plan": plan}
    wanted = request(seed=seed, max_new_tokens=max_new_tokens, **fields)
    return replace(wanted, sampling=replace(wanted.sampling, temperature=0.8), logprobs=True)


async def root_of(client: RouterClient, processes) -> TierProcess:
    """The target replica that answers now."""
    busy = {one.address for one in (await client.tiers()).replicas if one.num_outstanding}
    return next(one for one in processes["target"] if one.address in busy)


async def disturbed(client: RouterClient, processes, wanted, number: signal.Signals) -> Reply:
    """Answer, and send the signal to the root after its first tokens."""
    events, struck = [], False
    async for event in client.generate(wanted):
        events.append(event)
        if isinstance(event, Committed) and not struck:
            struck = True
            for replica in processes["target"]:  # it may not end while it is looked for
                replica.process.send_signal(signal.SIGSTOP)
            root = await root_of(client, processes)
            root.process.send_signal(number)
            for replica in processes["target"]:
                if replica is not root:
                    replica.revive()
    return Reply(events)


async def long_answer(client: RouterClient, plan: str):
    """Return a request, and its answer, which no end token cuts short."""
    for seed in range(50):
        wanted = asked(plan, seed=seed, max_new_tokens=300)
        whole = await reply(client, wanted)
        if whole.finished.reason is FinishReason.LENGTH:
            return wanted, whole
    raise AssertionError("every answer is short")


async def test_a_model_that_is_still_loading_is_waited_for(tmp_path, folder):
    late = TierProcess(folder, "verifier", "target", dtype="fp32")
    try:
        config = configuration_file(tmp_path, {"target": [late.address]}, {"alone": "target"})
        late.process.send_signal(signal.SIGSTOP)
        async with routing(config, max_outage_s=120.0) as client:
            assert (await client.tiers()).replicas[0].state is not ReplicaState.READY
            late.process.send_signal(signal.SIGCONT)
            assert (await reply(client, asked("alone", max_new_tokens=5))).token_ids
    finally:
        late.kill()


async def test_every_plan_gives_the_same_answer(client):
    whole = {plan: await reply(client, asked(plan)) for plan in PLANS}
    answers = {(tuple(one.token_ids), one.text) for one in whole.values()}
    assert len(answers) == 1
    assert all(one.finished.exact for one in whole.values())
    other = await reply(client, asked("alone", seed=4))
    assert other.token_ids != whole["alone"].token_ids


@pytest.mark.parametrize("plan", ["alone", "chain"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_root_lost_in_mid_answer_changes_no_token(client, processes, plan, number):
    wanted, undisturbed = await long_answer(client, plan)
    whole = await disturbed(client, processes, wanted, number)
    assert whole.finished.num_failovers == 1
    assert whole.finished.exact
    assert whole.token_ids == undisturbed.token_ids
    assert whole.text == undisturbed.text
    used, expected = whole.finished.usage, undisturbed.finished.usage
    assert used.num_completion_tokens == expected.num_completion_tokens
    assert used.num_prompt_tokens == expected.num_prompt_tokens


async def test_a_client_that_leaves_frees_the_session(client, processes):
    stream = client.generate(asked("chain", max_new_tokens=400))
    async for event in stream:
        if isinstance(event, Committed):
            break
    await stream.aclose()
    async with asyncio.timeout(60):
        while any(
            one.num_outstanding or (one.description and one.description.num_sessions)
            for one in (await client.tiers()).replicas
        ):
            await asyncio.sleep(0.05)


async def test_a_stop_string_is_met_as_if_nothing_had_happened(client, processes):
    plain = await reply(client, asked("alone"))
    middle = len(plain.text) * 3 // 4
    stop = replace(asked("alone").stop, strings=(plain.text[middle : middle + 4],))
    wanted = replace(asked("alone"), stop=stop)
    whole = await reply(client, wanted)
    assert whole.finished.reason is FinishReason.STOP_STRING
    assert plain.text.startswith(whole.text)
    assert len(whole.text) < len(plain.text)
