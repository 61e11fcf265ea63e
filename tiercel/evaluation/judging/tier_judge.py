"""A tier as the judge of pairs: how likely it says "A" rather than "B", asked in both orders."""

from collections.abc import Sequence

from tiercel.errors import InvalidRequest
from tiercel.evaluation.generation import ColumnDecoder, Request
from tiercel.evaluation.judging.question import Contest, Verdict, first_letter, question
from tiercel.types import Message, SamplingParams


def judge(decoder: ColumnDecoder, contests: Sequence[Contest]) -> list[Verdict]:
    """Return a tier's verdicts, in order.

    Raises InvalidRequest if a letter is no token of the tier's, and for texts that are too long.
    """
    letters = _letters(decoder)
    asked = [
        ((number, swapped), _request(decoder, contest, letters, swapped=swapped))
        for number, contest in enumerate(contests)
        for swapped in (False, True)
    ]
    chances = {key: first_letter(said.choice_logprobs) for key, said in decoder.run(asked)}
    return [Verdict(chances[at, False], 1 - chances[at, True]) for at in range(len(contests))]


def _request(
    decoder: ColumnDecoder, contest: Contest, letters: tuple[int, ...], *, swapped: bool
) -> Request:
    text = question(contest, swapped=swapped)
    ids = tuple(decoder.tokenizer.render([Message("user", text)]))
    if len(ids) >= decoder.max_length:
        why = f"with both answers it has {len(ids)} tokens, of {decoder.max_length}"
        raise InvalidRequest("prompt", contest.prompt, why)
    return Request(ids, SamplingParams(), choices=letters)


def _letters(decoder: ColumnDecoder) -> tuple[int, ...]:
    ids = [decoder.tokenizer.encode(letter) for letter in "AB"]
    if any(len(each) != 1 for each in ids):
        raise InvalidRequest("judge", "AB", "its tokenizer has no token for each letter")
    return tuple(each[0] for each in ids)
