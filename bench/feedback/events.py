"""Outcomes as a router with two drafters reports them."""

import itertools
from collections.abc import Iterator

from tiercel.learning import Outcome
from tiercel.types import PairStats, Plan, TierStats, Usage

NUM_KINDS = 8
_numbers = itertools.count()


def batches(size: int) -> Iterator[list[Outcome]]:
    """Yield batches of new events without end."""
    while True:
        yield [outcome(f"kind {next(_numbers) % NUM_KINDS}") for _ in range(size)]


def outcome(kind: str, drafter: str = "draft") -> Outcome:
    """Return an answer of 100 tokens that two drafters had a part in."""
    number = next(_numbers)
    pairs = tuple(_pair(name) for name in (drafter, "suffix"))
    tiers = (TierStats("target", num_forward_passes=25, compute_s=1.0),)
    usage = Usage(20, 100, pairs=pairs, tiers=tiers, time_to_first_token_s=0.05, total_s=1.1)
    return Outcome(
        f"event-{number:012}",
        usage,
        decision_id=f"decision-{number:012}",
        kind=kind,
        plan=Plan("target"),
        num_outstanding=number % 4,
        cost=0.5,
    )


def _pair(drafter: str) -> PairStats:
    return PairStats(
        drafter=drafter,
        verifier="target",
        num_drafts=25,
        num_draft_tokens=100,
        num_accepted_tokens=75,
        num_rejected_tokens=15,
        draft_compute_s=0.1,
    )
