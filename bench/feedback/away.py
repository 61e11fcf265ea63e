"""What a router's requests notice of a feedback that is away: nothing, if all is well.

Five routers over one tier, whose passes only take time: two with a feedback that is there, the
second to tell what chance does; one whose feedback nobody runs, one whose feedback hangs, one whose
feedback has no Redis. They take turns request by request.
"""

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.feedback import fleet
from tiercel.cli.supervisor import ChildSpec
from tiercel.cli.supervisor.ports import free_ports
from tiercel.clients.router import Request, RouterClient
from tiercel.types import Message, StopConditions

THERE = "there"
STATES = (THERE, "there, again", "not running", "hangs", "without Redis")
_WARM_UP = 20
_REPLICATES = 1000
_CONFIGURATION = """
default_plan = "target"
[tiers.target]
service = "verifier"
engine = "simulated"
addresses = ["{address}"]
[plans]
target = "target"
"""

# Seconds of requests by state: rounds x requests.
Taken = Mapping[str, NDArray[np.float64]]


async def measure(rounds: int, requests: int, pass_s: float, tokens: int) -> Taken:
    """Return the seconds of each request."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tb-")))
        url, _ = await stack.enter_async_context(fleet.valkey())
        specs, addresses = _services(folder, url, pass_s)
        pids = await stack.enter_async_context(fleet.running(specs))
        clients = {}
        for state in STATES:
            clients[state] = await stack.enter_async_context(RouterClient(addresses[state]))
        for client in clients.values():
            await _requests(client, _WARM_UP, tokens)
        os.kill(pids["feedback hangs"], signal.SIGSTOP)
        try:
            taken = [await _round(clients, requests, tokens) for _ in range(rounds)]
        finally:
            os.kill(pids["feedback hangs"], signal.SIGCONT)
    return {state: np.array([one[state] for one in taken]) for state in STATES}


def lines(taken: Taken) -> Iterator[str]:
    """Yield p50 and p99 of each state, and its ratios to the first with 95 % intervals."""
    yield f"{'feedback':14} {'p50 ms':>8} {'p99 ms':>8}  p50 ratio                p99 ratio"
    for state in STATES:
        p50, p99 = 1e3 * np.percentile(taken[state], (50, 99))
        ratios = "  ".join(_ratio(taken, state, share) for share in (50, 99))
        yield f"{state:14} {p50:8.2f} {p99:8.2f}  {ratios}"


def _ratio(taken: Taken, state: str, share: float) -> str:
    """Return the ratio of a percentile to that of the first state; rounds are drawn again."""
    ours, theirs = taken[state], taken[THERE]
    draws = np.random.default_rng(0).integers(0, len(ours), (_REPLICATES, len(ours)))
    drawn = _percentiles(ours[draws], share) / _percentiles(theirs[draws], share)
    low, high = np.percentile(drawn, (2.5, 97.5))
    ratio = np.percentile(ours, share) / np.percentile(theirs, share)
    return f"{ratio:.3f} ({low:.3f} to {high:.3f})"


def _percentiles(drawn: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return a percentile of each replicate, of replicates x rounds x requests."""
    found: NDArray[np.float64] = np.percentile(drawn.reshape(len(drawn), -1), share, axis=1)
    return found


def _services(folder: Path, url: str, pass_s: float) -> tuple[list[ChildSpec], dict[str, str]]:
    """Return all processes, and where the router of each state is."""
    tier = fleet.spec("verifier", "tier", tier="target", engine="simulated", model=_model(pass_s))
    config = folder / "one.toml"
    config.write_text(_CONFIGURATION.format(address=tier.address), encoding="utf-8")
    feedbacks = {
        THERE: fleet.spec("feedback", redis_url=url),
        "hangs": fleet.spec("feedback", "feedback hangs", redis_url=url, namespace="hangs"),
        "without Redis": fleet.spec("feedback", "feedback alone", redis_url="redis://localhost:1"),
    }
    told = {state: spec.address for state, spec in feedbacks.items()}
    told |= {"there, again": told[THERE], "not running": f"localhost:{free_ports(1)[0]}"}
    routers = {}
    for number, state in enumerate(STATES):
        own = {"config": config, "feedback": told[state], "state_dir": folder / str(number)}
        routers[state] = fleet.spec("router", f"router {state}", **own)
    specs = [tier, *feedbacks.values(), *routers.values()]
    return specs, {state: spec.address for state, spec in routers.items()}


def _model(pass_s: float) -> str:
    return f"any?base_s={pass_s}"


async def _round(
    clients: Mapping[str, RouterClient], requests: int, tokens: int
) -> dict[str, list[float]]:
    """Ask all in turn, each first as often as any other."""
    taken: dict[str, list[float]] = {state: [] for state in clients}
    for number in range(requests):
        first = number % len(STATES)
        for state in STATES[first:] + STATES[:first]:
            taken[state] += await _requests(clients[state], 1, tokens)
    return taken


async def _requests(client: RouterClient, number: int, tokens: int) -> list[float]:
    taken = []
    for _ in range(number):
        request = Request(
            (Message("user", "Say something."),), stop=StopConditions(max_new_tokens=tokens)
        )
        began = time.perf_counter()
        async for _ in client.generate(request):
            pass
        taken.append(time.perf_counter() - began)
    return taken
