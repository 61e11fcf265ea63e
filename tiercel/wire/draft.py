"""The messages of the draft stream to protobuf and back."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding.draft import Draft, check_draft
from tiercel.draft_stream import Advance, Block, Resync
from tiercel.errors import InvalidRequest
from tiercel.types import Constraint, Evidence, Message, Plan, SamplingParams, Span
from tiercel.v1 import drafter_pb2 as pb
from tiercel.wire.constraints import constraint_from_pb, constraint_to_pb
from tiercel.wire.distributions import distributions_from_pb, distributions_to_pb
from tiercel.wire.plans import (
    MAX_SPECULATIVE_TOKENS,
    evidence_from_pb,
    evidence_to_pb,
    plan_from_pb,
    plan_to_pb,
)
from tiercel.wire.requests import (
    TokenIds,
    messages_from_pb,
    messages_to_pb,
    sampling_from_pb,
    sampling_to_pb,
    token_ids_from_pb,
    token_ids_to_pb,
)
from tiercel.wire.results import spans_to_pb

# More credit than any parent of ours gives: one message may not set a drafter to work for ever.
MAX_TOKENS_AHEAD = 2 * MAX_SPECULATIVE_TOKENS


@dataclass(frozen=True)
class DraftOpening:
    """What a draft stream begins with; fields as in drafter.proto."""

    request_id: str
    plan: Plan
    prefix: TokenIds
    num_prompt_tokens: int
    params: SamplingParams
    stop_token_ids: frozenset[int]
    max_new_tokens: int
    max_tokens_ahead: int
    messages: tuple[Message, ...] = ()
    constraint: Constraint | None = None
    evidence: Evidence = Evidence.NONE


def opening_to_pb(opening: DraftOpening) -> pb.DraftOpen:
    """Return the message that opens a draft stream."""
    return pb.DraftOpen(
        request_id=opening.request_id,
        plan=plan_to_pb(opening.plan),
        prefix=token_ids_to_pb(opening.prefix),
        num_prompt_tokens=opening.num_prompt_tokens,
        sampling=sampling_to_pb(opening.params),
        stop_token_ids=sorted(opening.stop_token_ids),
        max_new_tokens=opening.max_new_tokens,
        max_tokens_ahead=opening.max_tokens_ahead,
        messages=messages_to_pb(opening.messages),
        constraint=constraint_to_pb(opening.constraint),
        evidence=evidence_to_pb(opening.evidence),
    )


def opening_from_pb(message: pb.DraftOpen) -> DraftOpening:
    """Return what a draft stream begins with; raises InvalidRequest for a value out of range."""
    prefix = token_ids_from_pb(message.prefix)
    if not 1 <= message.num_prompt_tokens <= len(prefix.token_ids):
        why = f"must be from 1 to the prefix's {len(prefix.token_ids)} tokens"
        raise InvalidRequest("open.num_prompt_tokens", message.num_prompt_tokens, why)
    _check_most("open.max_tokens_ahead", message.max_tokens_ahead, MAX_TOKENS_AHEAD)
    return DraftOpening(
        request_id=message.request_id,
        plan=plan_from_pb(message.plan),
        prefix=prefix,
        num_prompt_tokens=message.num_prompt_tokens,
        params=sampling_from_pb(message.sampling),
        stop_token_ids=frozenset(message.stop_token_ids),
        max_new_tokens=message.max_new_tokens,
        max_tokens_ahead=message.max_tokens_ahead,
        messages=messages_from_pb(message.messages),
        constraint=constraint_from_pb(message),
        evidence=evidence_from_pb(message.evidence),
    )


def spans_of(sources: Sequence[str]) -> list[Span]:
    """Return the runs of equal names in `sources`, one name for each token."""
    spans: list[Span] = []
    for source in sources:
        if spans and spans[-1].tier == source:
            spans[-1] = Span(source, spans[-1].num_tokens + 1)
        else:
            spans.append(Span(source, 1))
    return spans


def advance_to_pb(
    advance: Advance, *, compute_ns: int = 0, hidden_states: bytes = b""
) -> pb.Advance:
    """Return the message for the parent's truth; `compute_ns` is its last pass's model time."""
    return pb.Advance(
        epoch=advance.epoch,
        keep_length=advance.keep_length,
        token_ids=advance.token_ids,
        prefix_hash=advance.prefix_hash,
        max_tokens_ahead=advance.max_tokens_ahead,
        num_speculative_tokens=advance.num_speculative_tokens,
        compute_ns=compute_ns,
        hidden_states=hidden_states,
    )


def advance_from_pb(message: pb.Advance, *, vocab_size: int) -> Advance:
    """Return the parent's truth; raises InvalidRequest for a bad id or block length."""
    check_ids("advance.token_ids", message.token_ids, vocab_size)
    wanted = message.num_speculative_tokens
    _check_most("advance.num_speculative_tokens", wanted, MAX_SPECULATIVE_TOKENS)
    _check_most("advance.max_tokens_ahead", message.max_tokens_ahead, MAX_TOKENS_AHEAD)
    return Advance(
        epoch=message.epoch,
        keep_length=message.keep_length,
        token_ids=tuple(message.token_ids),
        prefix_hash=message.prefix_hash,
        max_tokens_ahead=message.max_tokens_ahead,
        num_speculative_tokens=message.num_speculative_tokens,
    )


def states_from_pb(message: pb.Advance, *, hidden_size: int) -> NDArray[np.float32]:
    """Return the parent's hidden states [positions, hidden_size]; raises InvalidRequest."""
    name, content = "advance.hidden_states", message.hidden_states
    if len(content) % (2 * hidden_size):
        raise InvalidRequest(name, len(content), f"must be rows of {2 * hidden_size} bytes")
    states = np.frombuffer(content, "<f2").reshape(-1, hidden_size).astype(np.float32)
    if not np.isfinite(states).all():
        raise InvalidRequest(name, len(states), "must be finite numbers")
    return states


def block_to_pb(block: Block) -> pb.DraftBlock:
    """Return the message for a block, without its statistics."""
    return pb.DraftBlock(
        epoch=block.epoch,
        start_position=block.start_position,
        token_ids=block.token_ids,
        prefix_hash=block.prefix_hash,
        spans=spans_to_pb(spans_of(block.sources)),
        probs=block.probs,
        distributions=distributions_to_pb(block.distributions or ()),
    )


def block_from_pb(
    message: pb.DraftBlock,
    *,
    vocab_size: int,
    max_tokens: int,
    evidence: Evidence = Evidence.NONE,
) -> Block:
    """Return the block; raises InvalidRequest for a bad id, length, provenance or probability.

    Of how its tokens were drawn it holds what was asked for, the `evidence`.
    """
    check_ids("block.token_ids", message.token_ids, vocab_size)
    if len(message.token_ids) > max_tokens:
        raise InvalidRequest("block.token_ids", len(message.token_ids), f"over {max_tokens} tokens")
    if sum(span.num_tokens for span in message.spans) != len(message.token_ids):
        raise InvalidRequest("block.spans", len(message.spans), "must cover the block's tokens")
    draft = _draft_from_pb(message, evidence)
    check_draft(draft, vocab_size or sys.maxsize)
    return Block(
        epoch=message.epoch,
        start_position=message.start_position,
        token_ids=draft.token_ids,
        prefix_hash=message.prefix_hash,
        sources=tuple(span.tier for span in message.spans for _ in range(span.num_tokens)),
        probs=draft.probs,
        distributions=draft.distributions,
    )


def _draft_from_pb(message: pb.DraftBlock, evidence: Evidence) -> Draft:
    asks_probs = evidence is not Evidence.NONE and len(message.probs) > 0
    asks_all = evidence is Evidence.DISTRIBUTIONS and len(message.distributions) > 0
    return Draft(
        token_ids=tuple(message.token_ids),
        probs=tuple(message.probs) if asks_probs else None,
        distributions=distributions_from_pb(message.distributions) if asks_all else None,
    )


def resync_to_pb(resync: Resync) -> pb.Resync:
    """Return the message for a drafter that lost the thread."""
    return pb.Resync(
        epoch=resync.epoch, have_position=resync.have_position, prefix_hash=resync.prefix_hash
    )


def resync_from_pb(message: pb.Resync) -> Resync:
    """Return what the drafter still has."""
    return Resync(message.epoch, message.have_position, message.prefix_hash)


def check_ids(field: str, token_ids: Sequence[int], vocab_size: int) -> None:
    """Raise InvalidRequest if an id is outside the vocabulary; `vocab_size` 0 takes any."""
    if vocab_size and token_ids and max(token_ids) >= vocab_size:
        worst = max(token_ids)
        raise InvalidRequest(field, worst, f"outside the vocabulary of {vocab_size} tokens")


def _check_most(field: str, value: int, most: int) -> None:
    if value > most:
        raise InvalidRequest(field, value, f"must be at most {most}")
