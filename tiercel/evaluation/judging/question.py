"""What a judge is asked about two answers, in both orders, and what its letters say."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

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


def question(contest: Contest, *, swapped: bool = False) -> str:
    """Return what the judge reads; swapped, the first answer is shown as B."""
    first, second = contest.first, contest.second
    if swapped:
        first, second = second, first
    return _QUESTION.format(prompt=contest.prompt, first=first, second=second)


def first_letter(logprobs: Sequence[float]) -> float:
    """Return the share of A among both letters, whose log-probabilities are given."""
    return 1 / (1 + exp(logprobs[1] - logprobs[0]))
