"""A tier without a model says of given texts what it would have drafted in every place."""

import random

import pytest

from services.drafter.suffix_tier import SuffixProposer
from tests.speculation.fleet import Fleet
from tiercel.clients.tier import score
from tiercel.engines.suffix import SuffixIndex
from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.scores import ScoreAsk
from tiercel.types import Plan
from tiercel.wire.requests import TokenIds

PROMPT = (1, 2, 3, 4, 5, 6, 7, 8)


def ids(*token_ids: int, fingerprint: str = "one") -> TokenIds:
    return TokenIds(token_ids, fingerprint)


async def test_the_choices_are_what_it_drafts_in_each_place(fleet: Fleet):
    suffix, choose = await fleet.suffix(), random.Random(3)
    texts = [tuple(choose.choices(PROMPT, k=150)), (1, 2, 3, 4, 9, 3, 4, 5)]
    asked = ScoreAsk(ids(*PROMPT), tuple(ids(*text) for text in texts))
    found = await score(fleet.channel(suffix), asked, timeout_s=150.0)
    assert (found.tier, found.numerics_id) == ("suffix", "")
    for text, scored in zip(texts, found.continuations, strict=True):
        assert scored.token_ids == text
        assert not (scored.logprobs or scored.entropies or scored.margins)
        for place, choice in enumerate(scored.choices):
            drafted = await drafted_after([*PROMPT, *text[:place]])
            assert drafted == ((choice.token_id,) if choice.token_id is not None else ())
            assert (choice.prob >= 0.2) == bool(drafted)
    # After "1 2", "3" is the only token that ever followed; after "4 9" none ever did.
    second = found.continuations[1].choices
    assert second[2].token_id == 3 and second[5].token_id is None


async def drafted_after(tokens: list[int]) -> tuple[int, ...]:
    proposer = SuffixProposer(Plan("suffix"), [SuffixIndex()], 0.2)
    proposer.append(tokens)
    return (await proposer.propose(1)).token_ids


@pytest.mark.parametrize(
    ("fields", "error", "why"),
    [
        ({"prompt": "text"}, InvalidRequest, "prompt='text': suffix has no tokenizer"),
        ({"continuations": (ids(1), "text")}, InvalidRequest, "continuations[1]='text'"),
        ({"continuations": (ids(1, fingerprint="two"),)}, TokenizerMismatch, "'two'"),
        ({"continuations": (ids(*[1] * 8193),)}, InvalidRequest, "at most 8192 tokens in all"),
    ],
)
async def test_what_it_cannot_score_is_named(fleet: Fleet, fields, error, why: str):
    suffix = await fleet.suffix()
    asked = ScoreAsk(**{"prompt": ids(*PROMPT), "continuations": (ids(1),)} | fields)
    with pytest.raises(error) as refused:
        await score(fleet.channel(suffix), asked, timeout_s=150.0)
    assert why in str(refused.value)
