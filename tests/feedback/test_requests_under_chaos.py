"""A real router over a real tier, while Redis and feedback come and go: no request fails."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.feedback.cells import Cell
from services.router.learning import outcomes
from tests.addresses import free_address
from tests.faults.in_process import verifier
from tests.feedback.chaos import empty, feedback, known, until
from tests.feedback.servers import RedisServer
from tests.router.routers import Reply, configuration_file, reply, request, settled
from tiercel.clients.router import RouterClient
from tiercel.types import FinishReason

NUM_TOKENS = 12
HEARTBEAT_S = 20.0  # a busy machine is none of the faults here


class Traffic:
    """Requests one after the other, as long as it runs; each must be answered like the first."""

    def __init__(self, client: RouterClient) -> None:
        self._client = client
        self._stopped = False
        self.replies: list[Reply] = []
        self._task = asyncio.create_task(self._ask())

    async def more(self, number: int = 5) -> None:
        """Wait until so many more requests were answered."""
        enough = len(self.replies) + number
        await until(lambda: self._task.done() or len(self.replies) >= enough)
        if self._task.done():
            await self._task  # raises what failed

    async def stop(self) -> None:
        self._stopped = True
        await self._task

    @property
    def num_passes(self) -> int:
        """How many passes the tier made for all answers."""
        usages = [answer.finished.usage for answer in self.replies]
        return sum(tier.num_forward_passes for usage in usages for tier in usage.tiers)

    async def _ask(self) -> None:
        while not self._stopped:
            answer = await reply(self._client, request(max_new_tokens=NUM_TOKENS))
            assert answer.finished.reason is FinishReason.LENGTH
            assert len(answer.token_ids) == NUM_TOKENS
            self.replies.append(answer)
            assert answer.token_ids == self.replies[0].token_ids


class Deployment:
    """A feedback service that comes and goes, at one address."""

    def __init__(self, redis: RedisServer, address: str) -> None:
        self.redis, self.address = redis, address
        self._running = AsyncExitStack()

    async def start(self) -> None:
        await self._running.enter_async_context(feedback(self.redis.url, self.address))

    async def stop(self) -> None:
        await self._running.aclose()

    async def num_passes(self) -> int:
        """How many passes feedback knows of."""
        cell = Cell.of_tier("target", "").name
        return int((await known(self.redis.url)).get(cell, {}).get("passes", 0))


@pytest.fixture
async def deployment(valkey: RedisServer) -> AsyncIterator[Deployment]:
    one = Deployment(valkey, free_address())
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def traffic(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Traffic]:
    monkeypatch.setattr(outcomes, "_LOOK_S", 0.05)
    monkeypatch.setattr(outcomes, "_MAX_ATTEMPTS", 1)
    async with AsyncExitStack() as stack:
        tier = verifier("target", "m?base_s=0.001", heartbeat_s=HEARTBEAT_S)
        address = await stack.enter_async_context(tier)
        config = configuration_file(tmp_path, {"target": [address]}, {"only": "target"})
        own = {"feedback": deployment.address, "state_dir": tmp_path / "state"}
        running = Traffic(await settled(stack, config, heartbeat_s=HEARTBEAT_S, **own))
        yield running
        await running.stop()


async def during(
    traffic: Traffic, strike: Callable[[], object], heal: Callable[[], object]
) -> None:
    """Do harm, let requests be answered meanwhile, and heal it."""
    for act in (strike, heal):
        if isinstance(done := act(), Awaitable):
            await done
        await traffic.more()


async def test_no_request_fails_and_each_counts_once(deployment: Deployment, traffic: Traffic):
    redis = deployment.redis
    await traffic.more()
    await during(traffic, redis.kill, redis.start)
    await during(traffic, lambda: redis.send(signal.SIGSTOP), lambda: redis.send(signal.SIGCONT))
    await during(traffic, deployment.stop, deployment.start)
    await traffic.stop()

    async def all_is_known() -> bool:
        return await deployment.num_passes() >= traffic.num_passes

    await until(all_is_known)
    assert await deployment.num_passes() == traffic.num_passes


async def test_no_request_fails_while_redis_forgets(
    deployment: Deployment, traffic: Traffic, tmp_path: Path
):
    redis, backup = deployment.redis, tmp_path / "backup"

    async def learns() -> bool:
        return await deployment.num_passes() > 0

    await traffic.more()
    await until(learns)
    shutil.copytree(redis.folder / "appendonlydir", backup)
    await during(traffic, lambda: empty(redis), redis.start)
    await until(learns)
    empty(redis)
    shutil.copytree(backup, redis.folder / "appendonlydir", dirs_exist_ok=True)
    await during(traffic, lambda: None, redis.start)
    before = await deployment.num_passes()

    async def learns_more() -> bool:
        return await deployment.num_passes() > before

    await until(learns_more)
