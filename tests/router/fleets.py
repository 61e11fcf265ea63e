"""Fleets that nobody has to serve: replicas as their descriptions would show them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from services.router.fleet import Fleet
from tiercel.descriptions import DrafterRecord, Speed, TierDescription
from tiercel.plan_rules import LOCAL


def description(tier: str, **fields) -> TierDescription:
    """A verifier of 10 ms a pass and 1 ms for each further token, or whatever is said."""
    about = {"speed": Speed(0.01, 0.001, 0.002), "max_length": 2048} | fields
    known = ("tier", "model", "engine", "dtype", "numerics_id", "bit_exact")
    plain = dict(zip(known, (tier, "m", "onnx", "int4", "n", True), strict=True))
    counts = {"tokenizer_fingerprint": "f", "vocab_size": 100, "verifies": True, "drafts": True}
    load = {"num_sessions": 0, "max_sessions": 8, "num_waiting_passes": 0, "uptime_s": 1.0}
    return TierDescription(**(plain | counts | load | about))


def record(drafter: str, accepted: float = 80.0, rejected: float = 20.0, **times) -> DrafterRecord:
    return DrafterRecord(drafter, accepted, rejected, **times)


@asynccontextmanager
async def fleet_of(
    tiers: Mapping[str, TierDescription | None], *, local: Sequence[str] = ()
) -> AsyncIterator[Fleet]:
    """One replica of each tier; of those without a description none takes work."""
    fleet = Fleet([*tiers, *local])
    for place, (tier, about) in enumerate(tiers.items()):
        fleet.set_addresses(tier, [f"localhost:{place + 1}"])
        if about is not None:
            fleet.of(tier)[0].is_ready(about)
    for tier in local:
        fleet.set_addresses(tier, [LOCAL])
    try:
        yield fleet
    finally:
        for replica in fleet.replicas():
            await replica.channel.close()
