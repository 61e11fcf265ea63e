"""Statistics of drafters: what of them to believe, and how to add them up."""

from collections.abc import Iterable
from dataclasses import replace

from tiercel import telemetry
from tiercel.draft_stream import Judgement
from tiercel.speculation.judging import Likeness
from tiercel.types import PairStats, TierStats

Stats = tuple[list[PairStats], list[TierStats]]


def count_judgement(pair: PairStats, judgement: Judgement) -> None:
    """Count what became of a block, for the answer and for the metrics."""
    pair.judged(judgement.num_draft_tokens, judgement.num_accepted, judgement.num_rejected)
    telemetry.count_draft(
        pair.verifier,
        pair.drafter,
        num_draft_tokens=judgement.num_draft_tokens,
        num_accepted=judgement.num_accepted,
    )


def count_likeness(verifier: str, drafter: str, likeness: Likeness) -> None:
    """Count for the metrics how far a drafter's distributions lay from its parent's."""
    telemetry.count_likeness(
        verifier,
        drafter,
        num_compared=likeness.num_compared,
        total_variation=likeness.total_variation,
    )


def credible_pairs(pairs: Iterable[PairStats], names: set[str]) -> list[PairStats]:
    """Return the rows that a drafter may send: of tiers below it, once each, that add up."""
    kept = {
        (pair.drafter, pair.verifier): pair
        for pair in pairs
        if pair.drafter in names
        and pair.verifier in names
        and pair.num_accepted_tokens + pair.num_rejected_tokens <= pair.num_draft_tokens
        and sum(pair.accepted_per_position) == pair.num_accepted_tokens
        and 0.0 <= pair.total_variation <= pair.num_compared
    }
    return list(kept.values())


def credible_tiers(tiers: Iterable[TierStats], names: set[str]) -> list[TierStats]:
    """Return the rows that a drafter may send: of itself and of tiers below it, once each."""
    return list({stats.tier: stats for stats in tiers if stats.tier in names}.values())


def merged_pairs(pairs: Iterable[PairStats]) -> list[PairStats]:
    """Return one row for each drafter and parent: a tier may be left and taken back."""
    merged: dict[tuple[str, str], PairStats] = {}
    for pair in pairs:
        known = merged.setdefault(
            (pair.drafter, pair.verifier), PairStats(pair.drafter, pair.verifier)
        )
        known.add(pair)
    return list(merged.values())


def merged_tiers(tiers: Iterable[TierStats]) -> list[TierStats]:
    """Return one row for each tier."""
    merged: dict[str, TierStats] = {}
    for stats in tiers:
        known = merged.get(stats.tier)
        merged[stats.tier] = stats if known is None else _sum(known, stats)
    return list(merged.values())


def merged(*parts: Stats) -> Stats:
    """Return several lists of both as one."""
    pairs = merged_pairs(pair for part, _ in parts for pair in part)
    return pairs, merged_tiers(tier for _, part in parts for tier in part)


def _sum(one: TierStats, other: TierStats) -> TierStats:
    return replace(
        one,
        num_forward_passes=one.num_forward_passes + other.num_forward_passes,
        prefill_s=one.prefill_s + other.prefill_s,
        compute_s=one.compute_s + other.compute_s,
        num_committed_tokens=one.num_committed_tokens + other.num_committed_tokens,
        num_cached_prompt_tokens=one.num_cached_prompt_tokens + other.num_cached_prompt_tokens,
    )
