"""A policy on trial in a running router beside the feedback service that watches over it."""

import asyncio
import json
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.feedback.__main__ import opening as opening_feedback
from services.feedback.settings import Settings as FeedbackSettings
from services.router.__main__ import opening as opening_router
from services.router.settings import Settings as RouterSettings
from tests.addresses import free_address
from tests.router.graders import WrittenGrader
from tests.router.routers import configuration_file, reply, request, settled
from tests.router.scripted_tier import Script, serving
from tiercel import rpc
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import InvalidRequest, ModelFault, NotFound
from tiercel.learning import Trial
from tiercel.v1 import tier_pb2


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


async def fleet(stack, tmp_path, **scripts: Script) -> str:
    """A large and a small tier, of which the small one takes a tenth of the time."""
    places = {}
    for tier, pass_s in (("large", 0.1), ("small", 0.01)):
        script = scripts.get(tier, Script())
        script.tier, script.step_s = tier, 0.0
        speed = tier_pb2.Speed(pass_s=pass_s, pass_s_per_token=0.0, prefill_s_per_token=0.001)
        script.about = {"speed": speed, "max_length": 2000}
        places[tier] = [await stack.enter_async_context(serving(script))]
    return configuration_file(tmp_path, places, {"large": "large", "small": "small"})


def grader() -> WrittenGrader:
    return WrittenGrader(
        quality={"large": 0.9, "small": 0.6}, num_tokens={"large": 12.0, "small": 12.0}
    )


async def feedback(stack) -> tuple[str, FeedbackClient]:
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tr-"))
    settings = FeedbackSettings(data_dir=Path(folder), poll_s=0.2, push_interval_s=0.05)
    port = await stack.enter_async_context(rpc.server(opening_feedback(settings), "localhost:0"))
    client = FeedbackClient(f"localhost:{port}")
    stack.push_async_callback(client.close)
    return f"localhost:{port}", client


async def the_trial(learner: FeedbackClient, condition) -> Trial:
    async with asyncio.timeout(90):
        while True:
            for one in (await learner.policy()).trials:
                if condition(one):
                    return one
            await asyncio.sleep(0.05)


async def policies_of(client, number: int) -> Counter[str]:
    return Counter([(await client.route(request())).policy for _ in range(number)])


async def until_policies(client, *wanted: str) -> None:
    """Wait until of thirty requests each of these policies, and no other, decides some."""
    async with asyncio.timeout(90):
        while set(await policies_of(client, 30)) != set(wanted):
            await asyncio.sleep(0.05)


async def test_a_shadow_is_logged_and_counted_and_changes_nothing(stack, tmp_path):
    address, learner = await feedback(stack)
    log, config = tmp_path / "log.jsonl", await fleet(stack, tmp_path)
    async with AsyncExitStack() as inner:
        client = await settled(
            inner,
            config,
            grader(),
            feedback=address,
            decision_log=str(log),
            trial_policy="cost_only",
            cost_weight=0.1,
        )
        decision = (await reply(client, request())).decision
        assert (decision.policy, decision.plan_name) == ("static", "large")
        await reply(client, request(policy="static"))
        counted = await the_trial(learner, lambda one: one.shadow is not None)
    assert (counted.policy, counted.incumbent, counted.share) == ("cost_only", "static", 0.0)
    assert (counted.shadow.num_requests, counted.shadow.agreement) == (1, 0.0)
    left, named = [json.loads(line) for line in log.read_text().splitlines()]
    [seen] = left["shadows"]
    assert (seen["policy"], seen["plan_name"], seen["agreement"]) == ("cost_only", "small", 0.0)
    assert seen["utility_gain"] == pytest.approx(counted.shadow.utility_gain)
    assert (left["trial"], named["trial"], named["shadows"]) == (None, None, [])


async def test_a_policy_whose_requests_fail_is_rolled_back_and_stays_so(stack, tmp_path):
    address, learner = await feedback(stack)
    config = await fleet(stack, tmp_path, small=Script(fault="fault", good_tokens=1))
    log, state = tmp_path / "log.jsonl", tmp_path / "state"
    options = {"trial_policy": "cost_only", "trial_share": 0.5, "state_dir": state}
    async with AsyncExitStack() as inner:
        client = await settled(
            inner, config, grader(), feedback=address, decision_log=str(log), **options
        )
        await until_policies(client, "static", "cost_only")
        ended = asyncio.create_task(the_trial(learner, lambda one: one.rolled_back))
        stack.callback(ended.cancel)
        num_failed = 0
        while not ended.done():
            try:
                await reply(client, request())
            except ModelFault:
                num_failed += 1
        assert (await ended).reason.startswith("failure is worse")
        await until_policies(client, "static")
        assert set(await policies_of(client, 30)) == {"static"}
    assert num_failed >= 3
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    failed = [line for line in lines if line["reason"] == "ModelFault"]
    assert len(failed) == num_failed and all(line["trial"]["tried"] for line in failed)
    assert {line["propensity"] for line in lines} == {1.0}
    # Feedback is away, and the router begins anew: what was heard last holds.
    client = await settled(stack, config, grader(), feedback=free_address(), **options)
    assert set(await policies_of(client, 30)) == {"static"}


async def test_a_share_needs_somebody_who_watches_and_a_policy_that_there_is(stack, tmp_path):
    config = await fleet(stack, tmp_path)
    for error, what in (
        (InvalidRequest, {"trial_policy": "cost_only", "trial_share": 0.5}),
        (NotFound, {"trial_policy": "best"}),
        (InvalidRequest, {"trial_policy": "knn"}),
    ):
        with pytest.raises(error):
            async with opening_router(RouterSettings(config=config, **what)):
                pass
