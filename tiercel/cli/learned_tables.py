"""What is learned, as tables for people."""

from tiercel.cli import trial_tables
from tiercel.cli.output import Output
from tiercel.cli.statistics import number
from tiercel.learning import (
    LearnedPolicy,
    PacingPolicy,
    PairPolicy,
    RootQuality,
    StrictnessPolicy,
    TierPolicy,
)

_PAIRS = ("drafter", "verifier", "kind", ">tokens", ">acceptance", ">judged")
_STRICTNESS = (
    *("rule", "kind", ">strictness", "certified"),
    *(">divergence", ">aim", ">audits", ">harm at most"),
)
_TIERS = ("tier", ">open requests", ">pass ms", ">first token ms", ">of 95 %", ">requests")
_QUALITIES = ("root", "kind", ">score", ">from", ">to", ">ratings", ">than predicted")


def show(output: Output, policy: LearnedPolicy) -> None:
    """Write what is learned, each part that there is."""
    state = f"frozen: {policy.frozen_reason or 'no reason given'}" if policy.frozen else "learning"
    output.line(f"version {policy.version} of epoch {policy.epoch}, {state}")
    for title, columns, rows in (
        ("drafters", _PAIRS, [_pair_row(one) for one in policy.pairs]),
        ("strictness", _STRICTNESS, [_strictness_row(one) for one in policy.strictness]),
        ("speed", _TIERS, [_tier_row(one) for one in policy.tiers]),
        ("ratings", _QUALITIES, [_quality_row(one) for one in policy.qualities]),
    ):
        if rows:
            output.line()
            output.table(title, columns, rows)
    trial_tables.show(output, policy.trials)
    if policy.pacing is not None:
        output.line()
        output.line(_budget(policy.pacing, policy.cost_weight or 0.0))


def _pair_row(pair: PairPolicy) -> tuple[str, ...]:
    return (
        pair.drafter,
        pair.verifier,
        pair.kind,
        str(pair.num_speculative_tokens),
        number(pair.acceptance_rate, 3),
        str(pair.num_judged_tokens),
    )


def _strictness_row(one: StrictnessPolicy) -> tuple[str, ...]:
    return (
        one.rule.value,
        one.kind,
        number(one.strictness, 3),
        "yes" if one.certified else "no",
        number(one.divergence, 4),
        number(one.target_divergence, 4),
        str(one.num_audits),
        number(one.harm_bound, 3),
    )


def _tier_row(one: TierPolicy) -> tuple[str, ...]:
    return (
        one.tier,
        f"from {one.min_outstanding}",
        number(1000 * one.pass_s, 1),
        number(1000 * one.first_token_p50_s, 0),
        number(1000 * one.first_token_p95_s, 0),
        str(one.num_requests),
    )


def _quality_row(one: RootQuality) -> tuple[str, ...]:
    interval = (number(one.lower, 2), number(one.upper, 2))
    excess = number(one.excess if one.num_predicted else None, 2)
    return one.root, one.kind, number(one.mean, 2), *interval, number(one.num_ratings, 1), excess


def _budget(pacing: PacingPolicy, cost_weight: float) -> str:
    answers = f"{pacing.mean_cost:.4g} over {pacing.num_answers:.0f} of late"
    return (
        f"budget: answers are to cost {pacing.target_mean_cost:g} on average, and do {answers};"
        f" a unit of cost is worth {cost_weight:.4g} of quality after {pacing.num_steps} steps"
    )
