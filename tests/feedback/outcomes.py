"""Outcomes as routers report them."""

from itertools import count

from tiercel.learning import Outcome
from tiercel.types import PairStats, TierStats, Usage

_numbers = count()


def outcome(
    *,
    event_id: str | None = None,
    kind: str = "",
    accepted: int = 90,
    rejected: int = 10,
    draft_s: float = 0.1,
    drafter: str = "draft",
    pass_s: float = 1.0,
) -> Outcome:
    """100 judged tokens in 25 blocks of 4: a draft token takes 1 ms, a pass 40 ms."""
    pair = PairStats(
        drafter=drafter,
        verifier="target",
        num_drafts=25,
        num_draft_tokens=100,
        num_accepted_tokens=accepted,
        num_rejected_tokens=rejected,
        draft_compute_s=draft_s,
    )
    tier = TierStats("target", num_forward_passes=25, compute_s=pass_s)
    return Outcome(
        event_id=event_id or f"event-{next(_numbers)}",
        usage=Usage(10, 100, pairs=(pair,), tiers=(tier,)),
        kind=kind,
    )
