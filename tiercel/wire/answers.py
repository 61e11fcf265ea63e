"""What a verifier sends, to protobuf: committed tokens and ends."""

from tiercel.replies import Committed
from tiercel.sessions import SessionEnd
from tiercel.v1 import decoding_pb2
from tiercel.wire.results import (
    evidence_of_tokens_to_pb,
    logprob_to_pb,
    reason_to_pb,
    replacement_to_pb,
    rule_use_to_pb,
    spans_to_pb,
    to_ns,
    usage_to_pb,
)


def committed_to_pb(committed: Committed) -> decoding_pb2.Committed:
    """Return the message for tokens that are final."""
    return decoding_pb2.Committed(
        position=committed.position,
        token_ids=committed.token_ids,
        text=committed.text,
        spans=spans_to_pb(committed.spans),
        logprobs=[logprob_to_pb(entry) for entry in committed.logprobs],
        plan_version=committed.plan_version,
        compute_ns=to_ns(committed.compute_s),
        text_lengths=committed.text_lengths,
        replacements=[replacement_to_pb(one) for one in committed.replacements],
        evidence=evidence_of_tokens_to_pb(committed.evidence),
    )


def end_to_pb(end: SessionEnd) -> decoding_pb2.Finished:
    """Return the message for the end of a session."""
    return decoding_pb2.Finished(
        reason=reason_to_pb(end.reason),
        usage=usage_to_pb(end.usage),
        stop_string=end.stop_string,
        rule_use=rule_use_to_pb(end.rule_use) if end.rule_use else None,
    )
