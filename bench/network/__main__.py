"""Throughput over a network between drafter and verifier, each pinned to a core of its own.

    python -m bench.network [--round-trips 0,1,5,20] [--rounds 3] [--tokens 128]
        [--engine simulated --model 'target?base_s=0.01&busy=1']
        [--draft-engine simulated --draft-model 'draft?base_s=0.001&acceptance=0.8&busy=1']

Real processes and sockets; the round trip, in milliseconds, is injected between the two. Ways take
turns request by request: plain decoding, drafting without and with drafting ahead, and what the
verifier makes of it by itself. Each is given as tokens per second over drafting without a network.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from bench.network.delayed_link import DelayedLink
from tiercel import rpc
from tiercel.cli.supervisor import ChildSpec, Supervisor, ports
from tiercel.cli.supervisor.readiness import takes_calls
from tiercel.clients.verifier import open_session
from tiercel.replies import Committed
from tiercel.sessions import Ask
from tiercel.tiers import as_environment
from tiercel.types import Plan, SamplingParams, StopConditions

PROMPT = "Why is the sky blue? Write about it at length, and repeat what matters."
# The settings of the target's process for each way of drafting.
WAYS: dict[str, dict[str, bool | int]] = {
    "in turns": {"always_draft": True, "tokens_ahead": 0},
    "ahead": {"always_draft": True, "tokens_ahead": 16},
    "by itself": {"always_draft": False, "tokens_ahead": 16},
}
PLAIN = "plain"
_HEARTBEAT_S = 2.0


def specs(target: dict[str, str], draft: dict[str, str]) -> dict[str, ChildSpec]:
    """Return the processes: the drafter on the last core, one target for each way on the first."""
    first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    addresses = [f"localhost:{port}" for port in ports.free_ports(1 + len(WAYS))]
    found = {"draft": _spec("draft", last, addresses[0], draft)}
    for (way, settings), address in zip(WAYS.items(), addresses[1:], strict=True):
        own = {**target, **as_environment(settings)}
        found[way] = _spec("target", first, address, own)
    return found


def _spec(tier: str, core: int, address: str, own: dict[str, str]) -> ChildSpec:
    command = (sys.executable, "-m", "bench.network.pinned", str(core), "services.verifier")
    common: dict[str, str | int] = {
        "tier": tier,
        "address": address,
        "threads": 1,
        "log_level": "warning",
    }
    return ChildSpec(address, command, address, {**as_environment(common), **own})


class Bench:
    """Asks the targets, each through a channel of its own."""

    def __init__(self, processes: dict[str, ChildSpec], num_speculative_tokens: int) -> None:
        self._processes, self._number = processes, num_speculative_tokens
        self._channels = rpc.Channels()

    async def tokens_per_s(self, way: str, drafter: str, num_tokens: int) -> float:
        """Decode so many tokens; return how many came a second from the first of them on."""
        target = self._processes["in turns" if way == PLAIN else way].address
        below = (
            () if way == PLAIN else (Plan("draft", drafter, num_speculative_tokens=self._number),)
        )
        plan = Plan("target", target, below)
        stop = StopConditions(max_new_tokens=num_tokens)
        ask = Ask("bench", PROMPT, SamplingParams(), stop, ignore_eos=True)
        times: list[float] = []
        first = 0
        async with open_session(
            self._channels.to(target), ask, plan, timeout_s=600, heartbeat_s=_HEARTBEAT_S
        ) as session:
            async for event in session.events():
                if isinstance(event, Committed) and event.token_ids:
                    first = first or len(event.token_ids)
                    times.append(time.perf_counter())
        return (num_tokens - first) / (times[-1] - times[0])

    async def close(self) -> None:
        """Close the channels."""
        await self._channels.close()


async def measure(
    processes: dict[str, ChildSpec],
    *,
    num_speculative_tokens: int,
    round_trips_ms: list[float],
    rounds: int,
    num_tokens: int,
) -> dict[tuple[str, float | None], list[float]]:
    """Return tokens a second for each way and round trip; None is without a link in between."""
    found: dict[tuple[str, float | None], list[float]] = {}
    supervisor = Supervisor(
        list(processes.values()), is_ready=takes_calls, on_line=lambda _, line: print(line)
    )
    bench = Bench(processes, num_speculative_tokens)
    async with supervisor:
        await supervisor.wait_ready(300)
        direct = processes["draft"].address
        with DelayedLink(direct) as link:
            for _ in range(rounds):
                for way, drafter, trip_ms in _turns(direct, link, round_trips_ms):
                    speed = await bench.tokens_per_s(way, drafter, num_tokens)
                    found.setdefault((way, trip_ms), []).append(speed)
        await bench.close()
    return found


def _turns(
    direct: str, link: DelayedLink, round_trips_ms: list[float]
) -> Iterator[tuple[str, str, float | None]]:
    yield PLAIN, direct, None
    for way in WAYS:
        yield way, direct, None
    for trip_ms in round_trips_ms:
        for way in WAYS:
            with _delayed(link, trip_ms):
                yield way, link.address, trip_ms


@contextmanager
def _delayed(link: DelayedLink, trip_ms: float) -> Iterator[None]:
    link.round_trip_s = trip_ms / 1e3
    yield
    link.round_trip_s = 0.0


def main(
    round_trips: Annotated[str, typer.Option(help="milliseconds, with commas")] = "0,1,5,20",
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    tokens: Annotated[int, typer.Option(min=2)] = 128,
    num_speculative_tokens: Annotated[int, typer.Option(min=1, max=64)] = 4,
    engine: str = "simulated",
    model: str = "target?base_s=0.01&busy=1",
    draft_engine: str = "simulated",
    draft_model: str = "draft?base_s=0.001&acceptance=0.8&busy=1",
) -> None:
    """Print tokens a second by way and round trip, over drafting in turns without a network."""
    processes = specs(
        as_environment({"engine": engine, "model": model}),
        as_environment({"engine": draft_engine, "model": draft_model}),
    )
    found = asyncio.run(
        measure(
            processes,
            num_speculative_tokens=num_speculative_tokens,
            round_trips_ms=[float(part) for part in round_trips.split(",")],
            rounds=rounds,
            num_tokens=tokens,
        )
    )
    base = statistics.median(found["in turns", None])
    for (way, trip_ms), speeds in found.items():
        where = "direct" if trip_ms is None else f"{trip_ms:g} ms"
        speed = statistics.median(speeds)
        print(f"{way:10s} {where:>7s}  {speed:7.1f} tokens/s  {speed / base:.2f}")


if __name__ == "__main__":
    typer.run(main)
