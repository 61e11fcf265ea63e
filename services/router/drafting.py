"""The drafters of one answer: who works for it now, and how far it is."""

from dataclasses import dataclass

from services.router.fleet import Fleet, Replica
from tiercel.types import Plan


@dataclass(frozen=True)
class Progress:
    """Where an answer is."""

    num_left: int  # tokens that it may still have
    num_read: int  # tokens of the prompt and of the answer so far


class Drafting:
    """Counts the answer at every replica that drafts for it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._replicas: list[Replica] = []

    def hold(self, plan: Plan) -> None:
        """Count it at the drafters of this plan, and at no others."""
        self.release()
        found = [self._fleet.find(part.tier, part.address) for part in plan.walk()]
        self._replicas = [one for one in found[1:] if one is not None]
        for replica in self._replicas:
            replica.num_drafting += 1

    def release(self) -> None:
        """Count it nowhere."""
        for replica in self._replicas:
            replica.num_drafting -= 1
        self._replicas = []
