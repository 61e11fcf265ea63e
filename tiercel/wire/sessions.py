"""Sessions of a verifier and their events, to protobuf and back."""

from collections.abc import Sequence

from tiercel.errors import InvalidRequest
from tiercel.sessions import Ask, DrafterLost, DraftPrefix, Opened, SessionEnd, SessionEvent
from tiercel.types import Plan
from tiercel.v1 import decoding_pb2
from tiercel.v1 import verifier_pb2 as pb
from tiercel.wire.constraints import constraint_from_pb, constraint_to_pb
from tiercel.wire.plans import plan_from_pb, plan_to_pb
from tiercel.wire.replies import committed_from_pb
from tiercel.wire.requests import (
    num_top_logprobs_from_pb,
    prompt_from_pb,
    prompt_to_pb,
    sampling_from_pb,
    sampling_to_pb,
    stop_from_pb,
    stop_to_pb,
    token_ids_from_pb,
    token_ids_to_pb,
)
from tiercel.wire.results import reason_from_pb, rule_use_from_pb, usage_from_pb


def open_to_pb(ask: Ask, plan: Plan, committed: Sequence[int]) -> pb.GenerateOpen:
    """Return the message that opens a session, after `committed` tokens of the answer."""
    return pb.GenerateOpen(
        request_id=ask.request_id,
        plan=plan_to_pb(plan),
        prompt=prompt_to_pb(ask.prompt),
        committed_token_ids=committed,
        sampling=sampling_to_pb(ask.sampling),
        stop=stop_to_pb(ask.stop, ignore_eos=ask.ignore_eos),
        logprobs=ask.logprobs,
        num_top_logprobs=ask.num_top_logprobs,
        constraint=constraint_to_pb(ask.constraint),
        evidence=ask.evidence,
        draft_prefix=_draft_prefix_to_pb(ask.draft_prefix) if ask.draft_prefix else None,
        kind=ask.kind,
    )


def open_from_pb(
    message: pb.GenerateOpen, *, eos_ids: frozenset[int]
) -> tuple[Ask, Plan, tuple[int, ...]]:
    """Return what is asked, the plan, and the tokens that were committed before.

    `eos_ids` end the answer too, unless it is to go on. Raises InvalidRequest.
    """
    ask = Ask(
        request_id=message.request_id,
        prompt=prompt_from_pb(message.prompt),
        sampling=sampling_from_pb(message.sampling),
        stop=stop_from_pb(message.stop, eos_ids=eos_ids),
        ignore_eos=message.stop.ignore_eos,
        logprobs=message.logprobs,
        num_top_logprobs=num_top_logprobs_from_pb(message.num_top_logprobs),
        constraint=constraint_from_pb(message),
        evidence=message.evidence,
        draft_prefix=_draft_prefix_from_pb(message) if message.HasField("draft_prefix") else None,
        kind=message.kind,
    )
    return ask, plan_from_pb(message.plan), tuple(message.committed_token_ids)


def _draft_prefix_to_pb(prefix: DraftPrefix) -> pb.DraftPrefix:
    return pb.DraftPrefix(tier=prefix.tier, ids=token_ids_to_pb(prefix.ids), text=prefix.text)


def _draft_prefix_from_pb(message: pb.GenerateOpen) -> DraftPrefix:
    prefix = message.draft_prefix
    if not prefix.tier:
        raise InvalidRequest("draft_prefix.tier", "", "must name the tier that said it")
    return DraftPrefix(prefix.tier, token_ids_from_pb(prefix.ids), prefix.text)


def event_from_pb(message: pb.VerifierGenerateResponse) -> SessionEvent | None:
    """Return the event; None for a heartbeat, and for what a newer tier may add."""
    kind = message.WhichOneof("message")
    if kind == "opened":
        opened = message.opened
        return Opened(token_ids_from_pb(opened.prompt), opened.tier, opened.numerics_id)
    if kind == "committed":
        return committed_from_pb(message.committed)
    if kind == "drafter_lost":
        lost = message.drafter_lost
        return DrafterLost(tuple(lost.path), lost.reason, lost.unreachable)
    if kind == "finished":
        return end_from_pb(message.finished)
    return None


def end_from_pb(message: decoding_pb2.Finished) -> SessionEnd:
    """Return the end of a session."""
    use = rule_use_from_pb(message.rule_use) if message.HasField("rule_use") else None
    reason, usage = reason_from_pb(message.reason), usage_from_pb(message.usage)
    return SessionEnd(reason, usage, message.stop_string, use)


def holds_tokens(message: pb.VerifierGenerateResponse) -> bool:
    """Return whether further tokens can be joined to a message."""
    return len(message.committed.token_ids) > 0


def join_committed(first: pb.VerifierGenerateResponse, second: pb.VerifierGenerateResponse) -> bool:
    """Add the tokens of `second` to those of `first` and return True, if both hold tokens.

    One message in place of several costs less, where a reader is slower than the tokens come.
    """
    earlier, later = first.committed, second.committed
    if not (earlier.token_ids and later.token_ids) or earlier.plan_version != later.plan_version:
        return False
    earlier.token_ids.extend(later.token_ids)
    earlier.text += later.text
    earlier.text_lengths.extend(later.text_lengths)
    earlier.logprobs.extend(later.logprobs)
    earlier.replacements.extend(later.replacements)
    if later.HasField("evidence"):
        earlier.evidence.MergeFrom(later.evidence)  # of lists: one behind the other
    earlier.compute_ns += later.compute_ns
    spans = list(later.spans)
    if earlier.spans and spans and earlier.spans[-1].tier == spans[0].tier:
        earlier.spans[-1].num_tokens += spans.pop(0).num_tokens
    earlier.spans.extend(spans)
    return True
