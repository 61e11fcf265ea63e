"""Which drafters configured plans put under a root, and which of them had no part in an answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.router.fleet import Fleet
from services.router.learning.learned import Advice
from services.router.planning import advised
from tiercel.decoding import in_force
from tiercel.plan_text import Outline
from tiercel.types import PairStats, Plan, Rule


@dataclass(frozen=True)
class Pair:
    """A drafter under a parent, and how sure it is at least of a token that it drafts."""

    drafter: str
    verifier: str
    confidence: float = 0.0

    @property
    def names(self) -> tuple[str, str]:
        """Both tiers, the drafter first."""
        return self.drafter, self.verifier


class IdlePairs:
    """The pairs of the configured plans, by root; those that live in their parents left out.

    A parent takes part only where it judges by EXACT: another rule accepts more than what the
    parent itself would have said, and how much more is not seen without drafting.
    """

    def __init__(self, plans: Mapping[str, Outline], fleet: Fleet, advice: Advice) -> None:
        self._plans, self._fleet, self._advice = list(plans.values()), fleet, advice

    def beside(self, plan: Plan) -> set[tuple[str, str]]:
        """Return the names of the pairs under a plan's root that are not in the plan itself."""
        with_root = (one.plan() for one in self._plans if one.tier == plan.tier)
        known = {pair.names for pair in _exact_pairs(with_root, self._fleet.local_tiers)}
        return known - {(below.tier, part.tier) for part, below in _edges(plan)}

    def idle(self, root: str, kind: str, ran: Sequence[PairStats]) -> list[Pair]:
        """Return the pairs under a root of which no token was judged, as their plans are now."""
        local = self._fleet.local_tiers
        judged = {(one.drafter, one.verifier) for one in ran if one.acceptance_rate is not None}
        plans = (
            advised(one, self._advice, kind=kind, local=local)
            for one in self._plans
            if one.tier == root
        )
        return [pair for pair in _exact_pairs(plans, local) if pair.names not in judged]


def _edges(plan: Plan) -> Iterator[tuple[Plan, Plan]]:
    return ((part, below) for part in plan.walk() for below in part.drafters)


def _exact_pairs(plans: Iterable[Plan], local: Iterable[str]) -> list[Pair]:
    """Return each pair once, with the least confidence that one of its plans asks for."""
    found: dict[tuple[str, str], float] = {}
    for plan in plans:
        for part, below in _edges(plan):
            if in_force(part.acceptance) is Rule.EXACT and below.tier not in local:
                names = below.tier, part.tier
                found[names] = min(below.draft_confidence, found.get(names, 1.0))
    return [Pair(*names, confidence) for names, confidence in found.items()]
