"""What tiers give back, tokens, spans and usage, to protobuf and back. Times: seconds <-> ns."""

from collections.abc import Iterable, Sequence

from tiercel.replies import TokenEvidence
from tiercel.rules import RuleUse
from tiercel.types import (
    FinishReason,
    PairStats,
    Replacement,
    Span,
    TierStats,
    TokenLogprob,
    Usage,
)
from tiercel.v1 import decoding_pb2 as pb
from tiercel.wire.plans import acceptance_from_pb, rule_to_pb

_REASONS: dict[FinishReason, pb.FinishReason.ValueType] = {
    FinishReason.STOP_TOKEN: pb.FINISH_REASON_STOP_TOKEN,
    FinishReason.STOP_STRING: pb.FINISH_REASON_STOP_STRING,
    FinishReason.LENGTH: pb.FINISH_REASON_LENGTH,
    FinishReason.DEADLINE: pb.FINISH_REASON_DEADLINE,
    FinishReason.CANCELLED: pb.FINISH_REASON_CANCELLED,
}
_REASONS_BACK = {number: reason for reason, number in _REASONS.items()}


def to_ns(seconds: float) -> int:
    """Return whole nanoseconds, never negative."""
    return max(0, round(seconds * 1e9))


def to_s(nanoseconds: int) -> float:
    """Return seconds."""
    return nanoseconds / 1e9


def reason_to_pb(reason: FinishReason) -> pb.FinishReason.ValueType:
    """Return the number of a finish reason."""
    return _REASONS[reason]


def reason_from_pb(number: pb.FinishReason.ValueType) -> FinishReason:
    """Return the finish reason; one that is not known counts as cancelled."""
    return _REASONS_BACK.get(number, FinishReason.CANCELLED)


def spans_to_pb(spans: Iterable[Span]) -> list[pb.Span]:
    """Return the runs as messages."""
    return [pb.Span(tier=span.tier, num_tokens=span.num_tokens) for span in spans]


def spans_from_pb(spans: Iterable[pb.Span]) -> tuple[Span, ...]:
    """Return the runs."""
    return tuple(Span(span.tier, span.num_tokens) for span in spans)


def logprob_to_pb(entry: TokenLogprob) -> pb.TokenLogprob:
    """Return the message for one token's log-probability."""
    top = [pb.TokenLogprob(token_id=token, logprob=value) for token, value in entry.top]
    return pb.TokenLogprob(token_id=entry.token_id, logprob=entry.logprob, top=top)


def logprob_from_pb(message: pb.TokenLogprob) -> TokenLogprob:
    """Return one token's log-probability."""
    top = tuple((entry.token_id, entry.logprob) for entry in message.top)
    return TokenLogprob(message.token_id, message.logprob, top)


def evidence_of_tokens_to_pb(evidence: Sequence[TokenEvidence]) -> pb.TokenEvidence | None:
    """Return the message for how sure a model was of tokens; None if that is not known."""
    if not evidence:
        return None
    return pb.TokenEvidence(
        logprobs=[one.logprob for one in evidence],
        entropies=[one.entropy for one in evidence],
        margins=[one.margin for one in evidence],
    )


def evidence_of_tokens_from_pb(message: pb.TokenEvidence) -> tuple[TokenEvidence, ...]:
    """Return how sure a model was of tokens, as far as all three numbers are there."""
    rows = zip(message.logprobs, message.entropies, message.margins, strict=False)
    return tuple(TokenEvidence(*row) for row in rows)


def replacement_to_pb(replacement: Replacement) -> pb.Replacement:
    """Return the message for a token that fusion put in the place of the draft's."""
    return pb.Replacement(**vars(replacement))


def replacement_from_pb(message: pb.Replacement) -> Replacement:
    """Return a token that fusion put in the place of the draft's."""
    names = [field.name for field in message.DESCRIPTOR.fields]
    return Replacement(**{name: getattr(message, name) for name in names})


def rule_use_to_pb(use: RuleUse) -> pb.RuleUse:
    """Return the message for what the root's rule did."""
    return pb.RuleUse(**vars(use) | {"rule": rule_to_pb(use.rule)})


def rule_use_from_pb(message: pb.RuleUse) -> RuleUse:
    """Return what the root's rule did; raises InvalidRequest for an unknown rule."""
    return RuleUse(
        rule=acceptance_from_pb(pb.Acceptance(rule=message.rule)).rule,
        strictness=message.strictness,
        num_compared_tokens=message.num_compared_tokens,
        num_divergent_tokens=message.num_divergent_tokens,
        logprob_gap=message.logprob_gap,
        num_unjudged_tokens=message.num_unjudged_tokens,
    )


def pair_to_pb(pair: PairStats) -> pb.PairStats:
    """Return the message for what one drafter did for one parent."""
    return pb.PairStats(
        drafter=pair.drafter,
        verifier=pair.verifier,
        num_drafts=pair.num_drafts,
        num_draft_tokens=pair.num_draft_tokens,
        num_accepted_tokens=pair.num_accepted_tokens,
        num_rejected_tokens=pair.num_rejected_tokens,
        accepted_per_position=pair.accepted_per_position,
        num_late=pair.num_late,
        draft_compute_ns=to_ns(pair.draft_compute_s),
        num_compared=pair.num_compared,
        total_variation=pair.total_variation,
    )


def pair_from_pb(message: pb.PairStats) -> PairStats:
    """Return what one drafter did for one parent."""
    return PairStats(
        drafter=message.drafter,
        verifier=message.verifier,
        num_drafts=message.num_drafts,
        num_draft_tokens=message.num_draft_tokens,
        num_accepted_tokens=message.num_accepted_tokens,
        num_rejected_tokens=message.num_rejected_tokens,
        accepted_per_position=list(message.accepted_per_position),
        num_late=message.num_late,
        draft_compute_s=to_s(message.draft_compute_ns),
        num_compared=message.num_compared,
        total_variation=message.total_variation,
    )


def tier_to_pb(tier: TierStats) -> pb.TierStats:
    """Return the message for what one tier's model did."""
    return pb.TierStats(
        tier=tier.tier,
        num_forward_passes=tier.num_forward_passes,
        num_prompt_tokens=tier.num_prompt_tokens,
        prefill_ns=to_ns(tier.prefill_s),
        compute_ns=to_ns(tier.compute_s),
        num_committed_tokens=tier.num_committed_tokens,
        num_cached_prompt_tokens=tier.num_cached_prompt_tokens,
    )


def tier_from_pb(message: pb.TierStats) -> TierStats:
    """Return what one tier's model did."""
    return TierStats(
        tier=message.tier,
        num_forward_passes=message.num_forward_passes,
        num_prompt_tokens=message.num_prompt_tokens,
        prefill_s=to_s(message.prefill_ns),
        compute_s=to_s(message.compute_ns),
        num_committed_tokens=message.num_committed_tokens,
        num_cached_prompt_tokens=message.num_cached_prompt_tokens,
    )


def usage_to_pb(usage: Usage) -> pb.Usage:
    """Return the message for what a request used."""
    return pb.Usage(
        num_prompt_tokens=usage.num_prompt_tokens,
        num_completion_tokens=usage.num_completion_tokens,
        pairs=[pair_to_pb(pair) for pair in usage.pairs],
        tiers=[tier_to_pb(tier) for tier in usage.tiers],
        time_to_first_token_ns=to_ns(usage.time_to_first_token_s),
        total_ns=to_ns(usage.total_s),
    )


def usage_from_pb(message: pb.Usage) -> Usage:
    """Return what a request used."""
    return Usage(
        num_prompt_tokens=message.num_prompt_tokens,
        num_completion_tokens=message.num_completion_tokens,
        pairs=tuple(pair_from_pb(pair) for pair in message.pairs),
        tiers=tuple(tier_from_pb(tier) for tier in message.tiers),
        time_to_first_token_s=to_s(message.time_to_first_token_ns),
        total_s=to_s(message.total_ns),
    )
