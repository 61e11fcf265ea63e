"""How many events a second feedback takes, and how long each keeps Redis."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.feedback import events, fleet
from tiercel.clients.feedback import FeedbackClient
from tiercel.learning import Outcome

_WARM_UP = 20  # calls


@dataclass(frozen=True)
class Throughput:
    """What was measured with so many clients that report without a pause."""

    num_clients: int
    batch: int
    events_per_s: float
    call_s: list[float]
    lua_us: float  # of one event in Redis, by its clock
    processor_us: float  # of one event in Redis's main thread, whatever else runs beside it
    mark_bytes: float  # what Redis keeps of one event to know it again, and to take ratings of it

    def __str__(self) -> str:
        p50, p99 = 1e3 * np.percentile(self.call_s, (50, 99))
        return (
            f"{self.num_clients} clients, {self.batch} a batch: {self.events_per_s:.0f} events/s;"
            f" Report p50 {p50:.1f} ms, p99 {p99:.1f} ms of {len(self.call_s)} calls;"
            f" an event takes {self.lua_us:.0f} us of Lua, {self.processor_us:.0f} us of Redis's"
            f" processor time, {self.mark_bytes:.0f} bytes to be remembered"
        )


async def measure(num_clients: int, batch: int, seconds: float) -> Throughput:
    """Report for so many seconds over a fresh Valkey."""
    async with fleet.valkey() as (url, store):
        service = fleet.spec("feedback", redis_url=url, store_timeout_s=10.0)
        async with fleet.running([service]):
            clients = [FeedbackClient(service.address) for _ in range(num_clients)]
            ready = events.batches(batch)
            for _ in range(_WARM_UP):
                await clients[0].report(next(ready))
            await store.config_resetstat()
            before = await _used(store)
            began = time.perf_counter()
            calls = [_reported(client, ready, began + seconds) for client in clients]
            taken = [one for some in await asyncio.gather(*calls) for one in some]
            elapsed = time.perf_counter() - began
            after = await _used(store)
            lua = (await store.info("commandstats"))["cmdstat_evalsha"]
            for client in clients:
                await client.close()
    number = batch * len(taken)
    num_bytes, cpu_s = [(late - early) / number for early, late in zip(before, after, strict=True)]
    rate = number / elapsed
    return Throughput(num_clients, batch, rate, taken, lua["usec"] / number, 1e6 * cpu_s, num_bytes)


async def _used(store: Any) -> tuple[float, float]:
    """Return the bytes that a store keeps, and the processor seconds of its main thread so far."""
    memory, cpu = await store.info("memory"), await store.info("cpu")
    seconds = sum(cpu[f"used_cpu_{what}_main_thread"] for what in ("user", "sys"))
    return float(memory["used_memory_dataset"]), float(seconds)


async def _reported(
    client: FeedbackClient, ready: Iterator[list[Outcome]], end: float
) -> list[float]:
    """Return the seconds of each call until the end."""
    taken = []
    while time.perf_counter() < end:
        batch = next(ready)
        began = time.perf_counter()
        await client.report(batch)
        taken.append(time.perf_counter() - began)
    return taken
