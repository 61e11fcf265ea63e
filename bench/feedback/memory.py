"""What cells take in Redis when there are as many as there may be."""

from dataclasses import dataclass
from typing import Any

from bench.feedback import events, fleet
from services.feedback.connection import NUM_PLACES, SCHEMA
from tiercel.clients.feedback import FeedbackClient

_BATCH = 256


@dataclass(frozen=True)
class Memory:
    """The hash of all cells, full."""

    max_cells: int
    num_single: int  # with cells of single kinds full
    num_cells: int  # with those of all kinds full too
    num_bytes: int

    def __str__(self) -> str:
        each = self.num_bytes / self.num_cells
        whole = (1 + NUM_PLACES) * self.num_bytes
        return (
            f"max_cells {self.max_cells}: {self.num_single} cells of single kinds,"
            f" {self.num_cells} with those of all kinds; {self.num_bytes / 2**20:.2f} MiB,"
            f" {each:.0f} bytes a cell;"
            f" at most {whole / 2**20:.1f} MiB with {NUM_PLACES} kept versions"
        )


async def measure(max_cells: int) -> Memory:
    """Report kinds, then drafters, without number, until no cell is added any more."""
    async with fleet.valkey() as (url, store):
        service = fleet.spec("feedback", redis_url=url, store_timeout_s=10.0, max_cells=max_cells)
        async with fleet.running([service]):
            client = FeedbackClient(service.address)
            single = await _full(store, client, "kind")
            whole = await _full(store, client, "drafter")
            await client.close()
        return Memory(max_cells, single, whole, int(await store.memory_usage(_key(), samples=0)))


def _key() -> str:
    return f"{{{fleet.NAMESPACE}}}:feedback:{SCHEMA}:cells"


async def _full(store: Any, client: FeedbackClient, what: str) -> int:
    """Return how many cells there are when new names of that add none."""
    number, before, begin = -1, -2, 0
    while number != before:
        names = [f"a {what} of usual length {i:06}" for i in range(begin, begin + _BATCH)]
        by_kind = what == "kind"
        await client.report(
            [events.outcome(name) if by_kind else events.outcome("", name) for name in names]
        )
        before, number, begin = number, int(await store.hlen(_key())), begin + _BATCH
    return number
