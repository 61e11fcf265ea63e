"""Routers for tests: the real service over given tiers, in this process, and its client."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from services.router.__main__ import opening
from services.router.settings import Settings
from tiercel import rpc
from tiercel.clients.router import Request, RouterClient
from tiercel.replies import Committed, Decision, Finished, ReplicaState
from tiercel.types import SamplingParams, StopConditions


def configuration_file(
    folder: Path,
    tiers: Mapping[str, Sequence[str]],
    plans: Mapping[str, str],
    *,
    drafters: Sequence[str] = (),
) -> str:
    """Write a configuration; the first plan is the default. Return its path."""
    lines = [f'default_plan = "{next(iter(plans))}"', "[plans]"]
    lines += [f'{name} = "{text}"' for name, text in plans.items()]
    for tier, addresses in tiers.items():
        service = "drafter" if tier in drafters else "verifier"
        lines += [f"[tiers.{tier}]", f'service = "{service}"', 'engine = "onnx"']
        lines += [f"addresses = {list(addresses)!r}"]
    file = folder / "tiers.toml"
    file.write_text("\n".join(lines))
    return str(file)


@asynccontextmanager
async def routing(config: str, grader=None, **settings) -> AsyncIterator[RouterClient]:
    """Run a router, perhaps one that takes qualities from `grader`; yield a client of it."""
    fast = {"poll_s": 0.1, "heartbeat_s": 10.0, "max_outage_s": 30.0} | settings
    chosen = Settings(config=config, **fast)
    async with (
        rpc.server(opening(chosen, grader=grader), "localhost:0") as port,
        RouterClient(f"localhost:{port}", timeout_s=120.0) as client,
    ):
        yield client


async def settled(
    stack: AsyncExitStack, config: str, grader=None, *, away: Sequence[str] = (), **settings
) -> RouterClient:
    """Run a router that has seen every tier but those `away`, and looks no more.

    On a busy machine a look may come too late, once or for good.
    """
    for _ in range(20):
        running = routing(config, grader, poll_s=3600.0, **settings)
        client = await stack.enter_async_context(running)
        seen = (await client.tiers()).replicas
        if all(one.state is ReplicaState.READY for one in seen if one.tier not in away):
            return client
    raise AssertionError(f"the tiers are not seen: {seen}")


def request(seed: int = 5, max_new_tokens: int = 12, **fields) -> Request:
    return Request(
        fields.pop("prompt", "Say something."),
        SamplingParams(seed=seed),
        stop=StopConditions(max_new_tokens=max_new_tokens),
        **fields,
    )


class Reply:
    """All events of one answer, checked to be one decision, tokens in order, one end."""

    def __init__(self, events: Sequence[Decision | Committed | Finished]) -> None:
        self.decision, *middle, self.finished = events
        assert isinstance(self.decision, Decision)
        assert isinstance(self.finished, Finished)
        self.token_ids: list[int] = []
        self.text = ""
        for event in middle:
            assert isinstance(event, Committed)
            assert event.position == len(self.token_ids), "a token is missing or came twice"
            self.token_ids += event.token_ids
            self.text += event.text


async def reply(client: RouterClient, asked: Request) -> Reply:
    """Return the whole answer; raises what the router ends it with."""
    return Reply([event async for event in client.generate(asked)])


async def eventually(condition, *, within_s: float = 60.0) -> None:
    """Wait until `condition()` holds; fails after `within_s`."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)
