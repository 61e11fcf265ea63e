"""An answer under a lossy rule as a row: counts and their price, divergence, audits so far."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.live.asking import Answer
from bench.live.charged import counts_of
from bench.live.lessons import Step
from tiercel.evaluation.step_cost import StepTimes, TierTimes, seconds
from tiercel.types import TierStats


@dataclass(frozen=True)
class Row:
    """One answer; `led` and what follows it are what feedback had told by then."""

    kind: str
    prompt_id: str
    strictness: float  # in force; 1: EXACT
    num_tokens: int
    cost_s: float  # counts times step times
    wall_s: float
    num_accepted: int
    num_judged: int
    num_compared: int
    num_divergent: int
    cell: str = ""  # the kind that was told, whose strictness it is; empty: that of all
    led: float | None = None
    target_divergence: float | None = None
    num_audits: int = 0
    num_harmed: int = 0
    harm_bound: float = 1.0


def strictness_of(answer: Answer) -> float:
    """Return the strictness that was in force; 1 under EXACT."""
    use = answer.end.rule_use
    return 1.0 if use is None else use.strictness


def row_of(kind: str, prompt_id: str, answer: Answer, times: StepTimes) -> Row:
    """Return an answer's row, without what feedback told."""
    usage, use = answer.end.usage, answer.end.rule_use
    root = answer.decision.plan.tier
    pairs = [pair for pair in usage.pairs if pair.verifier == root]
    counts = counts_of(answer.end, {}, lambda tier: 0)
    return Row(
        kind=kind,
        prompt_id=prompt_id,
        strictness=strictness_of(answer),
        num_tokens=len(answer.token_ids),
        cost_s=seconds(counts, times),
        wall_s=answer.seconds,
        num_accepted=sum(pair.num_accepted_tokens for pair in pairs),
        num_judged=sum(pair.num_accepted_tokens + pair.num_rejected_tokens for pair in pairs),
        num_compared=use.num_compared_tokens if use else 0,
        num_divergent=use.num_divergent_tokens if use else 0,
    )


def learned_row(step: Step, times: StepTimes) -> Row:
    """Return the row of a step."""
    row = row_of(step.prompt.kind, step.prompt.id, step.answer, times)
    if step.known is None:
        return row
    told = {
        "cell": step.cell,
        "led": step.known.strictness,
        "target_divergence": step.known.target_divergence,
        "num_audits": step.known.num_audits,
        "num_harmed": step.known.num_harmed,
        "harm_bound": step.known.harm_bound,
    }
    return Row(**(vars(row) | told))


def with_drafter(times: StepTimes, drafter: str, answers: Sequence[Answer]) -> StepTimes:
    """Return the times with those of a drafter that was not timed: one constant, from all answers.

    It is the median of what its passes took in this run, so that it weighs on all strictnesses
    alike; its prompts are not charged.
    """
    if drafter in times.tiers:
        return times
    spent = [
        stats.compute_s / stats.num_forward_passes
        for answer in answers
        for stats in answer.end.usage.tiers
        if _worked(stats, drafter)
    ]
    pass_s = sorted(spent)[len(spent) // 2] if spent else 0.0
    own = TierTimes(prefill_s=0.0, prompt_token_s=0.0, pass_s={1: pass_s})
    return StepTimes(tiers={**times.tiers, drafter: own})


def _worked(stats: TierStats, tier: str) -> bool:
    return stats.tier == tier and stats.num_forward_passes > 0


def audits_of(rows: Sequence[Row]) -> tuple[int, int]:
    """Return how many answers were audited and how many of them were harmed, of all cells."""
    last = {row.cell: row for row in rows}.values()
    return sum(row.num_audits for row in last), sum(row.num_harmed for row in last)
