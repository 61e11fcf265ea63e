"""Keeps the fleet true: resolves names, and asks every replica how it is, again and again."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import structlog

from services.router.background import in_background
from services.router.fleet import Fleet, Replica
from tiercel.clients import tier as tier_client
from tiercel.descriptions import TierDescription
from tiercel.errors import DeadlineExceeded, TiercelError
from tiercel.tiers import DNS, Tier

log = structlog.get_logger(__name__)

_TIMEOUT_S = 2.0
_RESOLVE_S = 5.0
_MAX_RESOLVE_S = 2.0


class Watcher:
    """Looks at every replica each `poll_s` seconds, and at names each five."""

    def __init__(
        self,
        fleet: Fleet,
        tiers: Mapping[str, Tier],
        *,
        poll_s: float,
        looked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`looked` is awaited after each look."""
        self._fleet = fleet
        self._tiers = tiers
        self._poll_s, self._looked = poll_s, looked
        self._resolved_at = float("-inf")

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch while the body runs; every replica was asked once when it begins."""
        await self._look()
        try:
            async with in_background(self._watch()):
                yield
        finally:
            for replica in self._fleet.replicas():
                await replica.channel.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self._look()

    async def _look(self) -> None:
        try:
            await self._look_at_all()
            if self._looked is not None:
                await self._looked()
        except Exception:  # whatever it was, a router that looks no more is worse
            log.exception("a look at the replicas failed")

    async def _look_at_all(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._resolved_at >= _RESOLVE_S:
            self._resolved_at = now
            await asyncio.gather(*(self._resolve(*item) for item in self._tiers.items()))
        replicas = (replica for replica in self._fleet.replicas() if not replica.is_local)
        await asyncio.gather(*(look_at(replica) for replica in replicas))

    async def _resolve(self, name: str, tier: Tier) -> None:
        try:
            addresses = [one for address in tier.addresses for one in await resolved(address)]
        except (OSError, UnicodeError) as error:
            log.warning("a tier's name is not resolved", tier=name, error=str(error))
            return  # the replicas that are known may well live on
        for replica in self._fleet.set_addresses(name, list(dict.fromkeys(addresses))):
            log.info("a replica left", tier=name, address=replica.address)
            if replica.load == 0:
                await replica.channel.close()


async def look_at(replica: Replica) -> None:
    """Ask the replica how it is and note the answer."""
    before = replica.state
    try:
        if await tier_client.is_ready(replica.channel, timeout_s=_TIMEOUT_S):
            _note(replica, await tier_client.describe(replica.channel, timeout_s=_TIMEOUT_S))
        else:
            replica.is_not_ready("its model is not loaded yet, or it drains")
    except DeadlineExceeded:
        replica.missed(f"no answer within {_TIMEOUT_S:g} s")
    except TiercelError as error:
        replica.is_unreachable(str(error))
    if replica.state is not before:
        log.info(
            "a replica changed",
            tier=replica.tier,
            address=replica.address,
            state=replica.state.value,
            problem=replica.problem,
        )


def _note(replica: Replica, description: TierDescription) -> None:
    if description.tier == replica.tier:
        replica.is_ready(description)
    else:
        replica.is_not_ready(f"says that it is tier {description.tier!r}")


async def resolved(address: str) -> list[str]:
    """Return `address` itself, or host:port for every address that a dns:/// name stands for.

    Raises OSError or UnicodeError for a name that cannot be resolved, or not in time.
    """
    if not address.startswith(DNS):
        return [address]
    host, _, port = address.removeprefix(DNS).rpartition(":")
    loop = asyncio.get_running_loop()
    # The thread that asks cannot be cut off; the replicas that are known need not wait for it.
    async with asyncio.timeout(_MAX_RESOLVE_S):
        found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    return sorted({_written(str(place[0]), port) for *_, place in found})


def _written(ip: str, port: str) -> str:
    return f"[{ip}]:{port}" if ipaddress.ip_address(ip).version == 6 else f"{ip}:{port}"
