"""What a live answer costs in replay: the counts of its work, in the names that step times take."""

from collections.abc import Callable, Mapping

from tiercel.evaluation.step_cost import PROMPT_TOKENS, pass_count
from tiercel.replies import Finished, StageDecision
from tiercel.types import TierStats, Usage

PromptTokens = Callable[[str], int]
"""Returns how many tokens the prompt has for a tier."""


def counts_of(
    end: Finished, tier_of: Mapping[str, str], prompt_tokens: PromptTokens
) -> dict[str, int]:
    """Return `passes.TIER`, `passes@W.TIER` and `prompt_tokens.TIER` of an answer.

    `tier_of` names each plan's root. A plan that was overruled in mid-answer reports no passes: it
    is charged for the tokens that it had said, one pass each after the prompt's.
    """
    counts: dict[str, int] = {}
    for stats in end.usage.tiers:
        if stats.num_forward_passes:
            _add(counts, _of_tier(stats, end.usage))
    told = {stats.tier for stats in end.usage.tiers if stats.num_forward_passes}
    for stage in end.stages:
        tier = tier_of[stage.plan_name]
        if stage.next_plan_name and tier not in told:
            _add(counts, _overruled(stage, tier, prompt_tokens(tier)))
    return counts


def _of_tier(stats: TierStats, usage: Usage) -> dict[str, int]:
    """Return a tier's counts: passes over blocks by their mean width, all others of one token."""
    judged = [pair for pair in usage.pairs if pair.verifier == stats.tier]
    blocks = sum(pair.num_drafts for pair in judged)
    drafted = sum(pair.num_draft_tokens for pair in judged)
    counts = {
        pass_count(1, stats.tier): max(0, stats.num_forward_passes - blocks - 1),
        f"{PROMPT_TOKENS}.{stats.tier}": stats.num_prompt_tokens,
    }
    if blocks:
        counts[pass_count(1 + max(1, round(drafted / blocks)), stats.tier)] = blocks
    return counts


def _overruled(stage: StageDecision, tier: str, num_prompt_tokens: int) -> dict[str, int]:
    passes = max(0, stage.num_tokens - 1)
    return {pass_count(1, tier): passes, f"{PROMPT_TOKENS}.{tier}": num_prompt_tokens}


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count
