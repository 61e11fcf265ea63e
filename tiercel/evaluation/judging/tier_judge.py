"""A tier as the judge of pairs: how likely it says "A" rather than "B", asked in both orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from tiercel.errors import InvalidRequest
from tiercel.evaluation.generation import ColumnDecoder, Request
from tiercel.types import Message, SamplingParams

_QUESTION = (
    "{prompt}\n\nTwo answers:\n\n[A]\n{first}\n[End of A]\n\n[B]\n{second}\n[End of B]\n\n"
    "Which answer is better written? Reply with one letter, A or B."
)


@dataclass(frozen=True)
class Contest:
    """Two answers to one prompt; the verdict is on the first."""

    prompt: str
    first: str
    second: str


@dataclass(frozen=True)
class Verdict:
    """How likely the first answer is held the better one, shown as A and shown as B."""

    shown_first: float
    shown_second: float

    @property
    def preference(self) -> float:
        """The mean of both orders: a liking for A or B by itself gives 0.5."""
        return (self.shown_first + self.shown_second) / 2

    @property
    def is_consistent(self) -> bool:
        """Whether the same answer is the better one in both orders."""
        return (self.shown_first > 0.5) == (self.shown_second > 0.5)


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
    chances = {key: _first_letter(said.choice_logprobs) for key, said in decoder.run(asked)}
    return [Verdict(chances[at, False], 1 - chances[at, True]) for at in range(len(contests))]


def _request(
    decoder: ColumnDecoder, contest: Contest, letters: tuple[int, ...], *, swapped: bool
) -> Request:
    first, second = contest.first, contest.second
    if swapped:
        first, second = second, first
    text = _QUESTION.format(prompt=contest.prompt, first=first, second=second)
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


def _first_letter(logprobs: Sequence[float]) -> float:
    """Return the share of A among both letters."""
    return 1 / (1 + exp(logprobs[1] - logprobs[0]))
