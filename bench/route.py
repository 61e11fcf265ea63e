"""What a decision takes: `Router.Route` in its own process, alone and through gRPC.

    python -m bench.route [--policy utility] [--quality FOLDER] [--calls 2000] [--busy 2]

The tiers are descriptions of tiers, so that no model is in the way. Plans and prompts are those
that come with Tiercel. `--busy` processes spin beside it.
"""

import asyncio
import multiprocessing
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from services.router.__main__ import opening
from services.router.routing import Router
from services.router.servicer import RouterServicer
from services.router.settings import Settings
from tiercel import rpc, tiers
from tiercel.clients.router import Request, RouterClient
from tiercel.descriptions import DrafterRecord, Speed, TierDescription
from tiercel.prediction.records import read_prompts
from tiercel.routing.policy import Wishes
from tiercel.sessions import Ask, Objective
from tiercel.types import Message, SamplingParams, StopConditions

_WARM_UP = 100
_SPIN = "while True: pass"


def main(
    policy: Annotated[str, typer.Option(help="The policy to ask.")] = "utility",
    quality: Annotated[str, typer.Option(help="Folder of a quality predictor.")] = "",
    calls: Annotated[int, typer.Option(min=100, help="Decisions of each kind.")] = 2000,
    busy: Annotated[int, typer.Option(min=0, help="Processes that spin beside it.")] = 0,
) -> None:
    """Print the median and the 99th percentile of each."""
    with TemporaryDirectory() as folder, _spinning(busy):
        config = _without_feedback(Path(folder))
        settings = Settings(policy=policy, config=config, quality=quality)
        print(f"policy {policy}, {calls} calls, {busy} busy processes beside it")
        alone = asyncio.run(_alone(settings, calls))
        _show("Router.route in its process", alone)
        _show("Router.Route through gRPC", _through_grpc(settings, calls))


@asynccontextmanager
async def described(settings: Settings) -> AsyncIterator[RouterServicer]:
    """Open the router over replicas that nobody serves: each is as its description says."""
    never = settings.model_copy(update={"poll_s": 1e6})
    async with opening(never) as servicer:
        for replica in _router_of(servicer)._fleet.replicas():
            if not replica.is_local:
                replica.is_ready(_description(replica.tier))
        yield servicer


def _router_of(servicer: RouterServicer) -> Router:
    return servicer._router


async def _alone(settings: Settings, calls: int) -> list[float]:
    taken = []
    async with described(settings) as servicer:
        router = _router_of(servicer)
        for prompt in _prompts(_WARM_UP + calls):
            ask = Ask("r", prompt, SamplingParams(), StopConditions())
            start = time.perf_counter()
            await router.route(ask, Objective(wishes=Wishes(cost_weight=0.05)), kind="")
            taken.append(time.perf_counter() - start)
    return taken[_WARM_UP:]


def _through_grpc(settings: Settings, calls: int) -> list[float]:
    """Return the seconds of calls to a router in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(settings, theirs), daemon=True)
    process.start()
    try:
        return asyncio.run(_called(ours.recv(), settings.policy, calls))
    finally:
        ours.send("stop")
        process.join()


async def _called(port: int, policy: str, calls: int) -> list[float]:
    taken = []
    async with RouterClient(f"localhost:{port}") as client:
        for prompt in _prompts(_WARM_UP + calls):
            request = Request(prompt, policy=policy, wishes=Wishes(cost_weight=0.05))
            start = time.perf_counter()
            await client.route(request)
            taken.append(time.perf_counter() - start)
    return taken[_WARM_UP:]


def _serve(settings: Settings, pipe: Connection) -> None:
    async def serve() -> None:
        async with rpc.server(described(settings), "localhost:0") as port:
            pipe.send(port)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(serve())


def _without_feedback(folder: Path) -> str:
    """Return the path of the built-in configuration, less its feedback service."""
    text = tiers.BUILT_IN.read_text(encoding="utf-8")
    file = folder / "tiers.toml"
    file.write_text(text.split("[feedback]")[0], encoding="utf-8")
    return str(file)


def _prompts(number: int) -> Iterator[tuple[Message, ...]]:
    known = [(Message("user", line.prompt),) for line in read_prompts()]
    return (known[index % len(known)] for index in range(number))


def _description(tier: str) -> TierDescription:
    records = [DrafterRecord(name, 800.0, 200.0, 0.01, 0.002) for name in ("draft", "suffix")]
    return TierDescription(
        tier=tier,
        model="m",
        engine="native",
        dtype="int4",
        numerics_id="n",
        bit_exact=True,
        tokenizer_fingerprint="f",
        vocab_size=49152,
        max_length=2048,
        verifies=True,
        drafts=True,
        num_sessions=1,
        max_sessions=8,
        num_waiting_passes=0,
        uptime_s=1.0,
        speed=Speed(0.01, 0.001, 0.002, 0.001),
        drafters=tuple(records),
    )


@contextmanager
def _spinning(number: int) -> Iterator[None]:
    spinning = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(number)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def _show(what: str, taken: list[float]) -> None:
    p50, p99 = np.percentile(np.array(taken) * 1000, (50, 99))
    print(f"{what:32} p50 {p50:.3f} ms, p99 {p99:.3f} ms")


if __name__ == "__main__":
    typer.run(main)
