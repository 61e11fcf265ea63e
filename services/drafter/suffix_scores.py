"""What a tier without a model would have drafted in texts that are given."""

import asyncio
from collections.abc import Sequence

from services.drafter.given_texts import GivenTexts
from tiercel.engines.combined import CombinedDrafter
from tiercel.scores import Choice, ScoredContinuation

# Tokens that are looked up before other sessions get their turn.
_PIECE = 64


async def scored_texts(
    drafter: CombinedDrafter, texts: GivenTexts, min_confidence: float
) -> list[ScoredContinuation]:
    """Return the choices in every place of the texts: the guess, and how often such ones hold.

    A guess below `min_confidence` is none, as it would have begun no block. `drafter` is new.
    """
    drafter.append(texts.prompt)
    scored = []
    for continuation in texts.continuations:
        choices = []
        for start in range(0, len(continuation), _PIECE):
            piece = continuation[start : start + _PIECE]
            choices += _choices(drafter, piece, min_confidence)
            await asyncio.sleep(0)
        scored.append(ScoredContinuation(continuation, tuple(choices)))
        drafter.truncate(len(texts.prompt))
    return scored


def _choices(
    drafter: CombinedDrafter, token_ids: Sequence[int], min_confidence: float
) -> list[Choice]:
    choices = []
    for token_id in token_ids:
        _, guess = drafter.guess()
        is_sure = guess is not None and guess.confidence >= min_confidence
        choices.append(Choice(guess.token, guess.confidence) if guess and is_sure else NO_CHOICE)
        drafter.append([token_id])
    return choices


NO_CHOICE = Choice(None, 0.0)
