"""What a conformance test says to a drafter, and the rules that every block has to keep."""

from collections.abc import Sequence

from tests.conformance.streams import Stream, Tier, hash_of
from tiercel.v1 import decoding_pb2
from tiercel.v1 import drafter_pb2 as pb

# Tokens that any vocabulary has, in an order that a drafter without a model can learn from.
PREFIX = [40, 41, 42, 43] * 12
AHEAD, WANTED = 8, 4


def opening(tier: Tier, **changes) -> pb.DraftOpen:
    """Return the opening of a stream, with some fields changed."""
    fields = {
        "request_id": "conformance",
        "plan": decoding_pb2.Plan(tier=tier.about.tier, num_speculative_tokens=WANTED),
        "prefix": prefix(tier, PREFIX),
        "num_prompt_tokens": 8,
        "sampling": decoding_pb2.SamplingParams(temperature=0),
        "max_new_tokens": 200,
        "max_tokens_ahead": AHEAD,
    }
    return pb.DraftOpen(**(fields | changes))


def prefix(tier: Tier, token_ids: Sequence[int], fingerprint: str = "") -> decoding_pb2.TokenIds:
    """Return ids in the tier's vocabulary."""
    own = fingerprint or tier.about.tokenizer_fingerprint or "of any vocabulary"
    return decoding_pb2.TokenIds(token_ids=token_ids, tokenizer_fingerprint=own)


def advance(epoch: int, keep: int, token_ids: Sequence[int], truth: Sequence[int], **changes):
    """Return the message after which the sequence is `truth`."""
    fields = {
        "epoch": epoch,
        "keep_length": keep,
        "token_ids": token_ids,
        "prefix_hash": hash_of(truth),
        "max_tokens_ahead": AHEAD,
        "num_speculative_tokens": WANTED,
    }
    return pb.Advance(**(fields | changes))


async def opened(stream: Stream, tier: Tier, **changes) -> pb.DraftOpened:
    """Open the stream; the first answer says who drafts."""
    await stream.send(open=opening(tier, **changes))
    answer = await stream.expect("opened")
    assert answer.tier == tier.about.tier
    return answer


async def block_after(stream: Stream, tier: Tier, known: Sequence[int], epoch: int) -> list[int]:
    """Return the tokens of the next block of `epoch`, which must follow `known`.

    Blocks of another epoch may still be in flight and are dropped.
    """
    while (block := await stream.expect("block")).epoch != epoch:
        pass
    assert block.start_position == len(known)
    assert block.prefix_hash == hash_of(known)
    token_ids = list(block.token_ids)
    assert sum(span.num_tokens for span in block.spans) == len(token_ids)
    assert len(token_ids) <= AHEAD
    vocab_size = tier.about.vocab_size
    assert not vocab_size or all(token_id < vocab_size for token_id in token_ids)
    return token_ids


async def mended(stream: Stream, tier: Tier, wrong: pb.Advance, truth: list[int]) -> None:
    """Send a message that does not fit; the resync it earns must be mendable."""
    await stream.send(advance=wrong)
    while (message := await stream.next())[0] == "block":
        pass
    kind, resync = message
    assert (kind, resync.epoch) == ("resync", wrong.epoch)
    have = resync.have_position
    assert have <= len(PREFIX)
    await stream.send(advance=advance(wrong.epoch + 1, have, truth[have:], truth))
    await block_after(stream, tier, truth, wrong.epoch + 1)
