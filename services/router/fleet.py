"""Every replica of every tier, as the router knows it, and the choice among them."""

import random
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from tiercel import replies, rpc
from tiercel.descriptions import TierDescription
from tiercel.plan_rules import LOCAL
from tiercel.replies import ReplicaState

# A replica that failed gets no new work for so long, if another can take it.
INHIBITED_S = 5.0
# Answers that may stay out before a replica that was heard counts as gone.
_MAX_MISSED = 2


@dataclass(eq=False)
class Replica:
    """One replica of a tier; what is known of it changes, its name does not."""

    tier: str
    address: str
    channel: grpc.aio.Channel = field(repr=False)
    state: ReplicaState = ReplicaState.UNREACHABLE
    description: TierDescription | None = None
    problem: str = "not asked yet"
    num_outstanding: int = 0  # requests open there as root
    num_drafting: int = 0  # requests that it drafts for
    _num_missed: int = 0
    _inhibited_until: float = 0.0

    def __post_init__(self) -> None:
        """Count one in its parents' processes as ready: it is wherever they are."""
        if self.is_local:
            self.state, self.problem = ReplicaState.READY, ""

    @property
    def is_local(self) -> bool:
        """Whether it lives in the processes of the tiers above it, so that nothing can be asked."""
        return self.address == LOCAL

    def is_ready(self, description: TierDescription) -> None:
        """It answered, and takes work."""
        self.state, self.problem, self._num_missed = ReplicaState.READY, "", 0
        self.description = description

    def is_not_ready(self, problem: str) -> None:
        """It answered, and takes no work."""
        self.state, self.problem, self._num_missed = ReplicaState.NOT_READY, problem, 0

    def is_unreachable(self, problem: str) -> None:
        """It does not answer."""
        self.state, self.problem = ReplicaState.UNREACHABLE, problem
        self.description = None

    def missed(self, problem: str) -> None:
        """It did not answer in time; once may be chance."""
        self._num_missed += 1
        if self._num_missed >= _MAX_MISSED:
            self.is_unreachable(problem)

    def failed(self, problem: str) -> None:
        """Work given to it was lost."""
        self.is_unreachable(problem)
        self._inhibited_until = time.monotonic() + INHIBITED_S

    @property
    def inhibited(self) -> bool:
        """Whether it failed a short while ago."""
        return time.monotonic() < self._inhibited_until

    @property
    def load(self) -> int:
        """Requests that this router has there, as root or as drafter."""
        return self.num_outstanding + self.num_drafting

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count one request as open here."""
        self.num_outstanding += 1
        try:
            yield
        finally:
            self.num_outstanding -= 1

    def snapshot(self) -> replies.Replica:
        """Return what is known now."""
        return replies.Replica(
            tier=self.tier,
            address=self.address,
            state=self.state,
            num_outstanding=self.num_outstanding,
            description=self.description,
            problem=self.problem,
        )


class Fleet:
    """The replicas by tier. Tiers are fixed, replicas come and go."""

    def __init__(self, tiers: Collection[str]) -> None:
        self._replicas: dict[str, dict[str, Replica]] = {tier: {} for tier in tiers}

    @property
    def tiers(self) -> tuple[str, ...]:
        """Names of the tiers."""
        return tuple(self._replicas)

    @property
    def local_tiers(self) -> set[str]:
        """Names of the tiers that live in the processes of those above them."""
        return {replica.tier for replica in self.replicas() if replica.is_local}

    def replicas(self) -> list[Replica]:
        """Return every replica, by tier."""
        return [replica for known in self._replicas.values() for replica in known.values()]

    def of(self, tier: str) -> list[Replica]:
        """Return the replicas of one tier; none for a tier that is not known."""
        return list(self._replicas.get(tier, {}).values())

    def find(self, tier: str, address: str) -> Replica | None:
        """Return the replica of that tier at that address."""
        return self._replicas.get(tier, {}).get(address)

    def set_addresses(self, tier: str, addresses: Sequence[str]) -> list[Replica]:
        """Make these the tier's replicas; return those that left, for the caller to close."""
        known = self._replicas[tier]
        left = [known.pop(address) for address in list(known) if address not in addresses]
        for address in addresses:
            if address not in known:
                known[address] = Replica(tier, address, rpc.channel(address))
        return left

    def ready(self, tier: str) -> list[Replica]:
        """Return the tier's replicas that take work; those that failed lately only if no other."""
        ready = [one for one in self.of(tier) if one.state is ReplicaState.READY]
        return [one for one in ready if not one.inhibited] or ready


def least_loaded(replicas: Sequence[Replica]) -> Replica | None:
    """Return the replica with the least outstanding work, drawn at random among equals."""
    if not replicas:
        return None
    least = min(replica.load for replica in replicas)
    return random.choice([replica for replica in replicas if replica.load == least])
