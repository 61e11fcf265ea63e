"""Blocks of draft tokens that are wrong, each in its own way, made by one who knows the truth."""

from tests.faults.answers import expected
from tiercel.decoding import prefix_hash
from tiercel.v1 import decoding_pb2
from tiercel.v1 import drafter_pb2 as pb

TIER = "rogue"
VOCAB_SIZE = 256


class Knowledge:
    """What an honest drafter would know: the parent's sequence and epoch."""

    def __init__(self, opening: pb.DraftOpen) -> None:
        self.token_ids = list(opening.prefix.token_ids)
        self.num_prompt_tokens = opening.num_prompt_tokens
        self.epoch = 0

    def advance(self, message: pb.Advance) -> None:
        """Follow the parent."""
        self.token_ids[message.keep_length :] = message.token_ids
        self.epoch = message.epoch

    def truth(self, count: int) -> list[int]:
        """Return the tokens that the target will choose next."""
        start = len(self.token_ids) - self.num_prompt_tokens
        return expected(start + count)[start:]

    def block(self, token_ids: list[int]) -> pb.DraftBlock:
        """Return a well-formed block of these tokens after the sequence."""
        value = prefix_hash.EMPTY
        for token_id in self.token_ids:
            value = prefix_hash.extend(value, token_id)
        spans = [decoding_pb2.Span(tier=TIER, num_tokens=len(token_ids))] if token_ids else []
        return pb.DraftBlock(
            epoch=self.epoch,
            start_position=len(self.token_ids),
            token_ids=token_ids,
            prefix_hash=value,
            spans=spans,
        )


def wrong(knowledge: Knowledge) -> list[pb.DraftBlock]:
    """Tokens that the target never chooses here."""
    return [knowledge.block([(token + 1) % VOCAB_SIZE for token in knowledge.truth(4)])]


def one_right(knowledge: Knowledge) -> list[pb.DraftBlock]:
    first, *rest = knowledge.truth(8)
    return [knowledge.block([first, *((token + 1) % VOCAB_SIZE for token in rest)])]


def out_of_vocabulary(knowledge: Knowledge) -> list[pb.DraftBlock]:
    return [knowledge.block([2**32 - 1])]


def oversized(knowledge: Knowledge) -> list[pb.DraftBlock]:
    return [knowledge.block(knowledge.truth(8) * 1000)]


def badly_spanned(knowledge: Knowledge) -> list[pb.DraftBlock]:
    block = knowledge.block(knowledge.truth(4))
    block.spans[0].num_tokens = 2**32 - 1
    return [block]


def without_spans(knowledge: Knowledge) -> list[pb.DraftBlock]:
    block = knowledge.block(knowledge.truth(4))
    del block.spans[:]
    return [block]


def stale(knowledge: Knowledge) -> list[pb.DraftBlock]:
    block = knowledge.block(knowledge.truth(4))
    block.epoch += 7
    return [block]


def badly_hashed(knowledge: Knowledge) -> list[pb.DraftBlock]:
    block = knowledge.block(knowledge.truth(4))
    block.prefix_hash ^= 1
    return [block]


def beyond_a_gap(knowledge: Knowledge) -> list[pb.DraftBlock]:
    block = knowledge.block(knowledge.truth(4))
    block.start_position = 2**32 - 1
    return [block]


def reordered_and_twice(knowledge: Knowledge) -> list[pb.DraftBlock]:
    first = knowledge.block(knowledge.truth(2))
    later = Knowledge.__new__(Knowledge)
    vars(later).update(vars(knowledge))
    later.token_ids = knowledge.token_ids + list(first.token_ids)
    second = later.block(later.truth(2))
    return [second, first, first, second, second]


def two_sided(knowledge: Knowledge) -> list[pb.DraftBlock]:
    """First the truth, then the contrary for the same place."""
    truth = knowledge.truth(4)
    return [knowledge.block(truth), knowledge.block([token ^ 1 for token in truth])]
