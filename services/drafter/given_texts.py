"""Texts to be scored by a tier without a tokenizer: token ids, all of one vocabulary."""

from dataclasses import dataclass

from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.scores import ScoreAsk
from tiercel.wire.draft import check_ids
from tiercel.wire.requests import Prompt, TokenIds


@dataclass(frozen=True)
class GivenTexts:
    """A prompt and its continuations as they were given."""

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    fingerprint: str


def given_texts(
    ask: ScoreAsk, tier: str, *, vocab_size: int = 0, fingerprint: str = ""
) -> GivenTexts:
    """Return the ids in `ask`; without a `fingerprint` those of any one vocabulary are taken.

    Raises InvalidRequest for text, an id out of range, and TokenizerMismatch.
    """
    prompt = _ids("prompt", ask.prompt, tier)
    own = fingerprint or prompt.tokenizer_fingerprint
    continuations = []
    for place, continuation in enumerate(ask.continuations):
        continuations.append(_ids(f"continuations[{place}]", continuation, tier))
    for ids in (prompt, *continuations):
        if ids.tokenizer_fingerprint != own:
            theirs = ids.tokenizer_fingerprint
            raise TokenizerMismatch(f"{tier} is asked in tokenizer {own!r} and in {theirs!r}")
        check_ids("token_ids", ids.token_ids, vocab_size)
    texts = tuple(ids.token_ids for ids in continuations)
    return GivenTexts(prompt.token_ids, texts, own)


def _ids(field: str, given: Prompt, tier: str) -> TokenIds:
    if not isinstance(given, TokenIds):
        raise InvalidRequest(field, given, f"{tier} has no tokenizer and takes ids only")
    return given
