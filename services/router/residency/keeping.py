"""Keeps machines within their memory: loads and unloads models by demand, beside the requests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from services.router import metrics
from services.router.background import in_background
from services.router.fleet import Fleet, Replica
from services.router.residency.choice import Holding, to_hold
from services.router.residency.demand import Demand
from services.router.watching import look_at
from tiercel.clients import tier as tier_client
from tiercel.descriptions import Residency
from tiercel.errors import TiercelError
from tiercel.replies import ReplicaState
from tiercel.tiers import Configuration, Machine

log = structlog.get_logger(__name__)

# A model that has work is not waited for longer; it is asked again at a later look.
_UNLOAD_S = 5.0
_LOAD_S = 900.0
_GB = 10**9


class MemoryKeeper:
    """Has each machine hold the models that are worth most, as far as they fit.

    No session is dropped: a tier gives its model back only when the last one has ended, and a
    request that comes first keeps it. A model that nobody holds is loaded by the request that
    needs it.
    """

    def __init__(
        self,
        configuration: Configuration,
        fleet: Fleet,
        demand: Demand,
        *,
        keep_s: float,
        poll_s: float,
    ) -> None:
        """A model that was in use within `keep_s` seconds stays."""
        self._machines, self._tiers = configuration.machines, configuration.tiers
        self._default_plan = configuration.plans[configuration.default_plan].plan()
        self._fleet, self._demand = fleet, demand
        self._keep_s, self._poll_s = keep_s, poll_s

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Keep every machine within its budget while the body runs."""
        self._demand.begin(self._default_plan)
        async with AsyncExitStack() as stack:
            for name in self._machines:
                await stack.enter_async_context(in_background(self._keep(name)))
            yield

    async def _keep(self, name: str) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self.arrange(name)
            except Exception:  # whatever it was, a machine that is looked after no more is worse
                log.exception("a machine's memory was not arranged", machine=name)

    async def arrange(self, name: str) -> None:
        """Unload and load what one machine should not and should hold, if anything."""
        machine = self._machines[name]
        replicas = self._replicas(machine)
        max_bytes = int(machine.memory_gb * _GB)
        held = to_hold([self._holding(one, replicas) for one in replicas], max_bytes)
        for replica in replicas:
            if _is_here(replica) and replica.address not in held:
                await self._set(replica, resident=False)
        for replica in replicas:
            room = max_bytes - sum(self._bytes(one) for one in replicas if _is_here(one))
            wanted = replica.address in held and not _is_here(replica)
            if wanted and self._bytes(replica) <= room:
                await self._set(replica, resident=True)
        here = sum(self._bytes(one) for one in replicas if _is_here(one))
        metrics.resident_bytes.labels(name).set(here)

    def _replicas(self, machine: Machine) -> list[Replica]:
        """Return the machine's replicas whose models can come and go, and whose size is known."""
        return [
            one
            for one in self._fleet.replicas()
            if one.state is ReplicaState.READY
            and machine.has(one.tier, one.address)
            and one.description is not None
            and one.description.residency is not Residency.UNSPECIFIED
            and self._bytes(one) > 0
        ]

    def _holding(self, replica: Replica, others: Sequence[Replica]) -> Holding:
        assert replica.description is not None
        has_work = replica.load > 0 or replica.description.num_sessions > 0
        is_fresh = self._demand.idle_s(replica.tier) < self._keep_s
        is_here = _is_here(replica)
        num_alike = sum(one.tier == replica.tier for one in others)
        return Holding(
            name=replica.address,
            num_bytes=self._bytes(replica),
            worth=self._demand.worth(replica.tier) / num_alike,
            is_here=is_here,
            must_stay=is_here and (has_work or is_fresh),
        )

    def _bytes(self, replica: Replica) -> int:
        told_gb = self._tiers[replica.tier].memory_gb
        if told_gb is not None:
            return int(told_gb * _GB)
        return 0 if replica.description is None else replica.description.memory_bytes

    async def _set(self, replica: Replica, *, resident: bool) -> None:
        timeout_s = _LOAD_S if resident else _UNLOAD_S
        about = {"tier": replica.tier, "address": replica.address}
        try:
            state = await tier_client.set_resident(
                replica.channel, resident=resident, timeout_s=timeout_s
            )
        except TiercelError as error:
            log.warning(
                "a model did not come or go", resident=resident, problem=str(error), **about
            )
        else:
            log.info("a model's place changed", state=state.value, **about)
            metrics.num_residency_changes.labels(replica.tier, state.value).inc()
        await look_at(replica)


def _is_here(replica: Replica) -> bool:
    """Return whether the model takes memory, or is about to."""
    about = replica.description
    return about is not None and about.residency is not Residency.AWAY
