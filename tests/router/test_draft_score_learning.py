"""Drafters that never ran are learned of, and chosen, from their scores alone."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from services.feedback.__main__ import opening
from services.feedback.settings import Settings
from tests.router.routers import configuration_file, reply, request, routing
from tests.speculation.fleet import Fleet, Models, Weights
from tiercel import rpc
from tiercel.clients.feedback import FeedbackClient
from tiercel.clients.router import RouterClient


@pytest.fixture
async def fleet(tmp_path: Path):
    models = Models(tmp_path)
    fleet = Fleet(models)
    yield fleet
    await fleet.close()
    models.close()


def simulated(acceptance: float, base_s: float) -> Weights:
    return Weights(model=f"m?base_s={base_s}&acceptance={acceptance}", engine="simulated")


async def two_drafters(fleet: Fleet, folder: Path) -> str:
    """Start a root, and a drafter of each of two plans; return the file of their configuration."""
    root = await fleet.model("root", simulated(1.0, 0.01))
    drafters = [
        await fleet.model(name, simulated(share, 0.001))
        for name, share in (("poor", 0.1), ("good", 0.9))
    ]
    addresses = {one.name: [one.address] for one in (root, *drafters)}
    plans = {"first": "root <- poor:4", "second": "root <- good:4"}
    return configuration_file(folder, addresses, plans)


async def learning(
    stack: AsyncExitStack, config: str, score_share: float
) -> tuple[RouterClient, FeedbackClient]:
    """Run feedback, and a router that scores such a share of its answers."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tr-"))
    settings = Settings(
        data_dir=Path(folder), min_judged_tokens=30, poll_s=0.2, push_interval_s=0.1
    )
    port = await stack.enter_async_context(rpc.server(opening(settings), "localhost:0"))
    address = f"localhost:{port}"
    feedback = FeedbackClient(address)
    stack.push_async_callback(feedback.close)
    running = routing(config, feedback=address, score_share=score_share)
    return await stack.enter_async_context(running), feedback


WANTED = request(max_new_tokens=32)
FREE = replace(WANTED, policy="fastest")


async def rates_of(client: RouterClient, feedback: FeedbackClient, drafters: set[str]):
    """Answer, by the plan of the poor drafter, until the rates of these are told."""
    rates: dict[str, float] = {}
    async with asyncio.timeout(90):
        while not drafters <= rates.keys():
            await reply(client, WANTED)
            pairs = (await feedback.policy()).pairs
            rates = {one.drafter: one.acceptance_rate for one in pairs if not one.kind}
    return rates


async def test_a_better_drafter_that_never_ran_is_found(fleet: Fleet, tmp_path: Path):
    config = await two_drafters(fleet, tmp_path)
    async with AsyncExitStack() as stack:
        client, feedback = await learning(stack, config, score_share=1.0)
        rates = await rates_of(client, feedback, {"poor", "good"})
        assert rates["poor"] < 0.3 and rates["good"] > 0.7
        async with asyncio.timeout(90):
            while (await client.route(FREE)).plan_name != "second":
                await reply(client, WANTED)  # for times, on a busy machine


async def test_without_scores_nothing_is_known_of_it(fleet: Fleet, tmp_path: Path):
    config = await two_drafters(fleet, tmp_path)
    async with AsyncExitStack() as stack:
        client, feedback = await learning(stack, config, score_share=0.0)
        assert (await rates_of(client, feedback, {"poor"})).keys() == {"poor"}
        decision = await client.route(FREE)
    seconds = {one.plan_name: one.predicted_s for one in decision.candidates}
    assert decision.plan_name == "first" and seconds["second"] is None
