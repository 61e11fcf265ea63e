"""Distributions over a few tokens to protobuf and back."""

from collections.abc import Sequence

from tiercel.decoding.distributions import TokenDistribution
from tiercel.errors import InvalidRequest
from tiercel.v1 import decoding_pb2 as pb

MAX_ENTRIES = 1024
"""Tokens of one distribution: with them a block of 64 tokens has half a megabyte."""


def distributions_to_pb(distributions: Sequence[TokenDistribution]) -> list[pb.TokenDistribution]:
    """Return the messages for what draft tokens were drawn from."""
    return [
        pb.TokenDistribution(token_ids=one.token_ids.tolist(), probs=one.probs.tolist())
        for one in distributions
    ]


def distributions_from_pb(
    messages: Sequence[pb.TokenDistribution],
) -> tuple[TokenDistribution, ...]:
    """Return the distributions; raises InvalidRequest for one that is empty, uneven or too long.

    Whether it is one, `tiercel.decoding.draft.check_draft` says, where the draft is known.
    """
    return tuple(_distribution(index, message) for index, message in enumerate(messages))


def _distribution(index: int, message: pb.TokenDistribution) -> TokenDistribution:
    count, field = len(message.token_ids), f"block.distributions[{index}]"
    if count > MAX_ENTRIES:
        raise InvalidRequest(f"{field}.token_ids", count, f"at most {MAX_ENTRIES} entries")
    if not count or len(message.probs) != count:
        why = f"must be one for each of {count} ids, and at least one"
        raise InvalidRequest(f"{field}.probs", len(message.probs), why)
    return TokenDistribution.of(message.token_ids, message.probs)
