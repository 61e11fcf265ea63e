"""Tables of what an answer used: by drafter and parent, by tier, and in all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tiercel.cli.answer import Answer
from tiercel.cli.output import Output
from tiercel.plan_text import print_plan
from tiercel.types import PairStats, Plan, TierStats, Usage

PAIR_COLUMNS = ("pair", ">blocks", ">drafted", ">accepted", ">rejected", ">rate", ">length")
TIER_COLUMNS = (
    "tier", ">tokens first", ">share", ">passes", ">prompt tokens", ">cached",
    ">prefill s", ">model s",
)  # fmt: skip


@dataclass(frozen=True)
class PairReport:
    """A drafter under its parent, over several answers."""

    drafter: str
    verifier: str
    num_drafts: int
    num_draft_tokens: int
    num_accepted_tokens: int
    num_rejected_tokens: int
    acceptance_rate: float | None
    mean_acceptance_length: float | None


def show_usage(output: Output, answer: Answer) -> None:
    """Write the tables of one answer, and a line with its speed."""
    if answer.finished is None:
        return
    usage = answer.finished.usage
    if usage.pairs:
        rows = [(*pair_cells(pair), str(pair.num_late)) for pair in usage.pairs]
        output.table("pairs", (*PAIR_COLUMNS, ">late"), rows)
    output.table("tiers", TIER_COLUMNS, tier_rows(usage.tiers))
    output.line()
    output.line(_speed(usage))
    plan = plan_text(answer.decision.plan) if answer.decision else "?"
    output.line(
        f"plan {plan}; seed {answer.finished.seed}; ended by {answer.finished.reason.value}"
    )


def pair_cells(pair: PairStats | PairReport) -> tuple[str, ...]:
    """Return what stands under PAIR_COLUMNS."""
    return (
        f"{pair.verifier} <- {pair.drafter}",
        str(pair.num_drafts),
        str(pair.num_draft_tokens),
        str(pair.num_accepted_tokens),
        str(pair.num_rejected_tokens),
        number(pair.acceptance_rate, 3),
        number(pair.mean_acceptance_length, 2),
    )


def tier_rows(tiers: Sequence[TierStats]) -> list[Sequence[str]]:
    """Return the rows under TIER_COLUMNS."""
    total = max(1, sum(tier.num_committed_tokens for tier in tiers))
    return [
        (
            tier.tier,
            str(tier.num_committed_tokens),
            f"{tier.num_committed_tokens / total:.0%}",
            str(tier.num_forward_passes),
            str(tier.num_prompt_tokens),
            str(tier.num_cached_prompt_tokens),
            f"{tier.prefill_s:.3f}",
            f"{tier.compute_s:.3f}",
        )
        for tier in tiers
    ]


def plan_text(plan: Plan) -> str:
    """Return a plan as people write it; what was learned has more digits than they care for."""
    return print_plan(_rounded(plan))


def number(value: float | None, digits: int) -> str:
    """Return the number with so many digits, or a dash for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def _rounded(plan: Plan) -> Plan:
    return replace(
        plan,
        draft_confidence=round(plan.draft_confidence, 3),
        drafters=tuple(_rounded(drafter) for drafter in plan.drafters),
    )


def _speed(usage: Usage) -> str:
    rate = usage.num_completion_tokens / usage.total_s if usage.total_s else 0.0
    return (
        f"{usage.num_completion_tokens} tokens in {usage.total_s:.2f} s, {rate:.1f} tokens/s; "
        f"the first after {usage.time_to_first_token_s:.2f} s"
    )
