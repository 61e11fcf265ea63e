"""What is to be scored, and the scores, to protobuf and back."""

from collections.abc import Sequence

from tiercel.errors import InvalidRequest
from tiercel.scores import Choice, Continuation, ScoreAsk, ScoredContinuation, Scores
from tiercel.v1 import tier_pb2 as pb
from tiercel.wire.requests import (
    TokenIds,
    num_top_logprobs_from_pb,
    prompt_from_pb,
    prompt_to_pb,
    sampling_from_pb,
    sampling_to_pb,
    token_ids_from_pb,
    token_ids_to_pb,
)
from tiercel.wire.results import logprob_from_pb, logprob_to_pb

MAX_CONTINUATIONS = 64


def score_ask_to_pb(ask: ScoreAsk) -> pb.ScoreRequest:
    """Return the message for continuations that are to be scored."""
    return pb.ScoreRequest(
        request_id=ask.request_id,
        prompt=prompt_to_pb(ask.prompt),
        continuations=[_continuation_to_pb(one) for one in ask.continuations],
        sampling=sampling_to_pb(ask.sampling),
        num_top_logprobs=ask.num_top_logprobs,
    )


def score_ask_from_pb(message: pb.ScoreRequest) -> ScoreAsk:
    """Return what is to be scored; raises InvalidRequest for a value that cannot be honoured."""
    sampling = message.sampling
    if sampling.temperature > 0 and not sampling.HasField("seed"):
        raise InvalidRequest("sampling.seed", None, "must be set when the temperature is above 0")
    return ScoreAsk(
        prompt=prompt_from_pb(message.prompt),
        continuations=_continuations_from_pb(message.continuations),
        sampling=sampling_from_pb(sampling),
        num_top_logprobs=num_top_logprobs_from_pb(message.num_top_logprobs),
        request_id=message.request_id,
    )


def scores_to_pb(scores: Scores) -> pb.ScoreResponse:
    """Return the message for the scores."""
    return pb.ScoreResponse(
        continuations=[_scored_to_pb(one) for one in scores.continuations],
        tier=scores.tier,
        numerics_id=scores.numerics_id,
    )


def scores_from_pb(message: pb.ScoreResponse) -> Scores:
    """Return the scores."""
    continuations = tuple(_scored_from_pb(one) for one in message.continuations)
    return Scores(continuations, message.tier, message.numerics_id)


def _continuation_to_pb(continuation: Continuation) -> pb.Continuation:
    if isinstance(continuation, TokenIds):
        return pb.Continuation(ids=token_ids_to_pb(continuation))
    return pb.Continuation(text=continuation)


def _continuations_from_pb(messages: Sequence[pb.Continuation]) -> tuple[Continuation, ...]:
    if not 1 <= len(messages) <= MAX_CONTINUATIONS:
        why = f"must be from 1 to {MAX_CONTINUATIONS} of them"
        raise InvalidRequest("continuations", len(messages), why)
    return tuple(_continuation_from_pb(index, one) for index, one in enumerate(messages))


def _continuation_from_pb(index: int, message: pb.Continuation) -> Continuation:
    continuation: Continuation = message.text
    if message.WhichOneof("form") == "ids":
        continuation = token_ids_from_pb(message.ids)
    if not (continuation.token_ids if isinstance(continuation, TokenIds) else continuation):
        why = "must hold at least one character or token"
        raise InvalidRequest(f"continuations[{index}]", "", why)
    return continuation


def _scored_to_pb(scored: ScoredContinuation) -> pb.ScoredContinuation:
    return pb.ScoredContinuation(
        token_ids=scored.token_ids,
        logprobs=[logprob_to_pb(entry) for entry in scored.logprobs],
        choices=[pb.ScoredChoice(token_id=one.token_id, prob=one.prob) for one in scored.choices],
        entropies=scored.entropies,
        margins=scored.margins,
    )


def _scored_from_pb(message: pb.ScoredContinuation) -> ScoredContinuation:
    return ScoredContinuation(
        token_ids=tuple(message.token_ids),
        choices=tuple(_choice_from_pb(one) for one in message.choices),
        logprobs=tuple(logprob_from_pb(entry) for entry in message.logprobs),
        entropies=tuple(message.entropies),
        margins=tuple(message.margins),
    )


def _choice_from_pb(message: pb.ScoredChoice) -> Choice:
    return Choice(message.token_id if message.HasField("token_id") else None, message.prob)
