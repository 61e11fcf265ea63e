"""What an event adds to which cells. Adding is all that happens, so any order gives the same."""

from collections.abc import Iterator

from services.feedback.cells import Cell, Sums, kinds_of
from services.feedback.speeds import load_band, speed_sums
from services.feedback.trials import shadow_deltas
from tiercel.learning import Audit, DraftScore, Event, Outcome
from tiercel.types import PairStats, TierStats


def deltas(event: Event) -> Iterator[tuple[Cell, Sums]]:
    """Yield what an event adds to which cell, those of all kinds first."""
    if isinstance(event, Outcome):
        yield from shadow_deltas(event)
        if not event.failure:  # what was done before it failed is no sample of what would have been
            yield from _of_outcome(event)
    elif isinstance(event, DraftScore):
        yield from _of_score(event)
    elif isinstance(event, Audit):
        yield from _of_audit(event)


def _of_outcome(outcome: Outcome) -> Iterator[tuple[Cell, Sums]]:
    for kind in kinds_of(outcome.kind):
        for pair in outcome.usage.pairs:
            yield Cell.of_pair(pair.drafter, pair.verifier, kind), _pair_sums(pair)
        for tier in outcome.usage.tiers:
            if tier.num_forward_passes:
                yield Cell.of_tier(tier.tier, kind), _tier_sums(tier, outcome.usage.pairs)
        if (use := outcome.rule_use) is not None and (divergence := use.divergence) is not None:
            sums = {"answers": 1, "divergence": divergence, "gap": max(0.0, use.logprob_gap)}
            yield Cell.of_rule(use.rule.value, kind), sums
    if outcome.cost is not None:
        yield Cell.of_cost(), {"answers": 1, "cost": outcome.cost}
    if outcome.plan is not None and (sums := speed_sums(outcome.plan.tier, outcome.usage)):
        yield Cell.of_speed(outcome.plan.tier, load_band(outcome.num_outstanding)), sums


def _of_score(score: DraftScore) -> Iterator[tuple[Cell, Sums]]:
    """A token that a drafter would have drafted right or wrong is one that was judged."""
    sums = {"accepted": score.num_matched_tokens, "rejected": score.num_missed_tokens}
    for kind in kinds_of(score.kind):
        yield Cell.of_pair(score.drafter, score.verifier, kind), sums


def _of_audit(audit: Audit) -> Iterator[tuple[Cell, Sums]]:
    sums = {"audits": 1, "harmed": int(audit.harmed)}
    for kind in kinds_of(audit.kind):
        if audit.certifying:
            level = Cell.of_level(audit.rule.value, audit.strictness, kind)
            yield level, sums | {"divergence": audit.divergence}
        else:
            yield Cell.of_rule(audit.rule.value, kind), sums


def _pair_sums(pair: PairStats) -> Sums:
    alike = {"compared": pair.num_compared, "variation": pair.total_variation}
    return (alike if pair.num_compared else {}) | {
        "accepted": pair.num_accepted_tokens,
        "rejected": pair.num_rejected_tokens,
        "drafts": pair.num_drafts,
        "draft_tokens": pair.num_draft_tokens,
        "draft_s": pair.draft_compute_s,
        "late": pair.num_late,
    }


def _tier_sums(tier: TierStats, pairs: tuple[PairStats, ...]) -> Sums:
    """Return the sums of a least-squares line: seconds of a pass over its width in tokens.

    Only the mean width and time of a request are known; each weighs as many passes as it had.
    """
    passes = tier.num_forward_passes
    drafted = sum(pair.num_draft_tokens for pair in pairs if pair.verifier == tier.tier)
    width = 1 + drafted / passes
    return {
        "passes": passes,
        "pass_s": tier.compute_s,
        "width": passes * width,
        "width_squared": passes * width**2,
        "width_s": width * tier.compute_s,
    }
