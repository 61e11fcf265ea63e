"""Which running tiers are compared, and with which one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tiercel.errors import InvalidRequest, NotFound
from tiercel.plan_rules import LOCAL
from tiercel.replies import Overview, Replica, ReplicaState

_POLL_S = 0.2


@dataclass(frozen=True)
class Voice:
    """One running tier."""

    name: str
    address: str
    fingerprint: str  # of its tokenizer; empty: it takes ids of any vocabulary
    has_tokenizer: bool


async def settled(ask: Callable[[], Awaitable[Overview]], patience_s: float) -> Overview:
    """Return an overview in which all replicas take work, or the one at the end of the patience."""
    until = time.monotonic() + patience_s
    while away(overview := await ask()) and time.monotonic() < until:
        await asyncio.sleep(_POLL_S)
    return overview


def away(overview: Overview) -> list[str]:
    """Return the tiers that have an address, and no replica that takes work."""
    reachable = [replica for replica in overview.replicas if replica.address != LOCAL]
    ready = {replica.tier for replica in reachable if replica.state is ReplicaState.READY}
    return [name for name in dict.fromkeys(one.tier for one in reachable) if name not in ready]


def voices(overview: Overview, target: str, names: Sequence[str]) -> tuple[Voice, list[Voice]]:
    """Return the target, by default the default plan's root, and the others, by default all.

    Raises NotFound for a tier of which no replica takes work, InvalidRequest for nobody to compare.
    """
    ready = {
        replica.tier: _voice(replica)
        for replica in reversed(overview.replicas)
        if replica.state is ReplicaState.READY and replica.description is not None
    }
    root = target or next(plan.plan.tier for plan in overview.plans if plan.is_default)
    chosen = names or [name for name in dict.fromkeys(one.tier for one in overview.replicas)]
    wanted = [root, *(name for name in dict.fromkeys(chosen) if name != root)]
    for name in wanted:
        if name not in ready and (names or name == root):
            raise NotFound(f"no replica of {name!r} takes work; those of {', '.join(ready)} do")
    others = [ready[name] for name in wanted[1:] if name in ready]
    if not others:
        raise InvalidRequest("tier", root, "there is no other tier to compare it with")
    return ready[root], others


def _voice(replica: Replica) -> Voice:
    about = replica.description
    assert about is not None, "a replica that takes work has described itself"
    return Voice(replica.tier, replica.address, about.tokenizer_fingerprint, about.verifies)
