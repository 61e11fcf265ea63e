"""From an outline to a plan that can be opened: what was learned, addresses, then the rules."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from services.router.fleet import Fleet, Replica, least_loaded
from services.router.learning.learned import Advice
from tiercel.errors import InvalidRequest, NotFound, PlanRefused
from tiercel.plan_rules import check_address, check_plan, check_shape
from tiercel.plan_text import Outline
from tiercel.replies import ReplicaState
from tiercel.sessions import Objective
from tiercel.types import Plan

# A plan is also read by people.
_CONFIDENCE_DIGITS = 3
# What a drafter in its parent's process may draft at once: it knows by itself where to stop.
_MOST_LOCAL = 16


def advised(outline: Outline, advice: Advice, *, kind: str, local: Collection[str] = ()) -> Plan:
    """Return the plan with what was learned for every part that has no number of its own.

    Tiers that are `local` measure for themselves what pays: they get room.
    """
    below = tuple(
        _advised(drafter, outline.tier, advice, kind, local) for drafter in outline.drafters
    )
    return replace(replace(outline, drafters=()).plan(), drafters=below)


def _advised(
    outline: Outline, parent: str, advice: Advice, kind: str, local: Collection[str]
) -> Plan:
    plan = advised(outline, advice, kind=kind, local=local)
    if outline.tier in local and not outline.is_written:
        return replace(plan, num_speculative_tokens=_MOST_LOCAL)
    learned = advice.find(outline.tier, parent, kind)
    if learned is None or outline.is_written:
        return plan
    return replace(
        plan,
        num_speculative_tokens=learned.num_speculative_tokens,
        draft_confidence=round(learned.draft_confidence, _CONFIDENCE_DIGITS),
    )


def addressed(
    plan: Plan, root: Replica, fleet: Fleet, *, avoiding: Collection[Replica] = ()
) -> Plan:
    """Return the plan with `root` at its root and a replica of every tier below.

    Replicas to avoid are taken only where there is no other. A drafter of which no replica takes
    work keeps a place: its parent takes it when it comes back.
    """
    filled = replace(plan, address=root.address, drafters=_below(plan, fleet, avoiding))
    check_plan(filled)
    return filled


def staying(plan: Plan, before: Plan, fleet: Fleet) -> Plan:
    """Return the plan with the replicas that take part in the one before it and still take work."""
    places = {
        part.tier: part.address
        for part in before.walk()
        if (known := fleet.find(part.tier, part.address)) and known.state is ReplicaState.READY
    }
    return _placed(plan, places)


def _placed(plan: Plan, places: Mapping[str, str]) -> Plan:
    below = tuple(_placed(drafter, places) for drafter in plan.drafters)
    return replace(plan, address=plan.address or places.get(plan.tier, ""), drafters=below)


def _below(plan: Plan, fleet: Fleet, avoiding: Collection[Replica]) -> tuple[Plan, ...]:
    filled = []
    for drafter in plan.drafters:
        address = _address(drafter, fleet, avoiding)
        if address:
            below = _below(drafter, fleet, avoiding)
            filled.append(replace(drafter, address=address, drafters=below))
    return tuple(filled)


def _address(drafter: Plan, fleet: Fleet, avoiding: Collection[Replica]) -> str:
    known = fleet.find(drafter.tier, drafter.address)
    if drafter.address and (known is None or not (known.inhibited or known in avoiding)):
        return drafter.address
    ready = fleet.ready(drafter.tier)
    others = [one for one in ready if one not in avoiding]
    chosen = least_loaded(others or ready or fleet.of(drafter.tier))
    return chosen.address if chosen else drafter.address


def check_asked(outline: Outline, fleet: Fleet, *, allowed: Sequence[str]) -> None:
    """Raise for a plan of a caller's that this router may not open.

    Raises NotFound for an unknown tier without an address, PlanRefused for one of composition, or
    for an address that is neither a configured replica of its tier nor allowed.
    """
    plan = outline.plan()
    check_shape(plan)
    for part in plan.walk():
        if part.address:
            if fleet.find(part.tier, part.address) is None:
                check_address(part, allowed)
        elif part.tier not in fleet.tiers:
            known = ", ".join(fleet.tiers)
            raise NotFound(f"no tier {part.tier!r}; the tiers here are {known}")
    if plan.address and fleet.find(plan.tier, plan.address) is None:
        raise PlanRefused(f"address {plan.address!r}: the root must be a replica of the router's")


def check_strictness(objective: Objective, least: float) -> None:
    """Raise InvalidRequest where a caller asks for a laxer rule than this router lets callers have.

    What a named plan allows is the operator's own word, and stands. A strictness that is learned
    has no number yet.
    """
    asked = objective.acceptance
    if asked is None and objective.outline is not None:
        asked = objective.outline.plan().acceptance
    if asked is not None and not asked.learned and asked.strictness < least:
        why = f"callers of this router may ask for no less than {least:g}"
        raise InvalidRequest("acceptance.strictness", asked.strictness, why)


def part_at(plan: Plan, path: Sequence[str]) -> Plan | None:
    """Return the part of the plan that `path` names, tier by tier from the root down."""
    if not path or path[0] != plan.tier:
        return None
    if len(path) == 1:
        return plan
    found = (part_at(drafter, path[1:]) for drafter in plan.drafters)
    return next((part for part in found if part is not None), None)
