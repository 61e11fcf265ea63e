"""Which replica of the root's tier answers, or goes on with what another one began."""

from services.router.fleet import Fleet, Replica, least_loaded
from tiercel.errors import Overloaded, Unavailable
from tiercel.replies import ReplicaState
from tiercel.sessions import Opened
from tiercel.wire.requests import TokenIds


class RootChoice:
    """The choice for one answer; knows who was full, and whom the next has to resemble."""

    def __init__(self, fleet: Fleet, tier: str, *, wanted_address: str = "") -> None:
        self.first: Opened | None = None
        self._fleet = fleet
        self._tier = tier
        self._wanted_address = wanted_address
        self._full: set[Replica] = set()

    @property
    def prompt(self) -> TokenIds:
        """The prompt as the first root has it; nothing as long as none has."""
        return self.first.prompt if self.first is not None else TokenIds((), "")

    async def pick(self) -> Replica:
        """Return the best replica: equal numerics before health before the caller's wish.

        Raises Unavailable if none takes work, Overloaded if all that do are full.
        """
        known = self._fleet.of(self._tier)
        ready = [one for one in known if one.state is ReplicaState.READY and self._can_go_on(one)]
        with_room = [one for one in ready if one not in self._full]
        if ready and not with_room:
            self._full.clear()
            raise Overloaded(f"every replica of tier {self._tier!r} is full")
        best = max((self._rank(one) for one in with_room), default=None)
        chosen = least_loaded([one for one in with_room if self._rank(one) == best])
        if chosen is None:
            problems = "; ".join(f"{one.address}: {one.problem or 'unlike'}" for one in known)
            why = problems or "none is known"
            raise Unavailable(f"no replica of tier {self._tier!r} takes work ({why})")
        return chosen

    def is_full(self, replica: Replica) -> None:
        """Leave this one out of the next choice."""
        self._full.add(replica)

    def went_on(self, opened: Opened, replica: Replica) -> bool:
        """Note who opened a session; return whether its bits are those of the first one's."""
        if self.first is None:
            self.first = opened
            return True
        bit_exact = replica.description is not None and replica.description.bit_exact
        return bit_exact and opened.numerics_id == self.first.numerics_id

    def _rank(self, replica: Replica) -> tuple[bool, bool, bool]:
        wanted = replica.address == self._wanted_address
        return (self._same_numerics(replica), not replica.inhibited, wanted)

    def _same_numerics(self, replica: Replica) -> bool:
        if self.first is None or replica.description is None:
            return True
        return replica.description.numerics_id == self.first.numerics_id

    def _can_go_on(self, replica: Replica) -> bool:
        """Whether the replica takes our ids, once the prompt is ids."""
        if self.first is None or replica.description is None:
            return True
        fingerprint = self.first.prompt.tokenizer_fingerprint
        return replica.description.tokenizer_fingerprint == fingerprint
