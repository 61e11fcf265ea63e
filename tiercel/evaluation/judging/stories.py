"""A tier's verdicts on the columns of a set, and on a known better author at equal length."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from tiercel.evaluation.generation import ColumnDecoder
from tiercel.evaluation.judging.length_control import LengthControlled, length_controlled
from tiercel.evaluation.judging.question import Contest
from tiercel.evaluation.judging.texts import Answered
from tiercel.evaluation.judging.tier_judge import judge
from tiercel.evaluation.statistics import Estimate, estimate


@dataclass(frozen=True)
class Comparison:
    """One author's texts held against another's, over as many prompts as both answered."""

    author: str
    other: str
    wins: Estimate  # of the author, 1 for each prompt where its text is held the better one
    length: LengthControlled  # of the preferences, from 0 to 1
    consistent: float  # share of the prompts that are decided alike in both orders
    longer: float  # share of the prompts where the author's text has more characters


def compare_columns(decoder: ColumnDecoder, prompts: Sequence[Answered]) -> list[Comparison]:
    """Return how each two columns fare against each other; empty answers are left out."""
    names = list(dict.fromkeys(one.column for prompt in prompts for one in prompt.answers))
    texts = [{one.column: one.text for one in prompt.answers} for prompt in prompts]
    found = []
    for author, other in combinations(names, 2):
        contests = [
            Contest(prompt.item.prompt, said[author], said[other])
            for prompt, said in zip(prompts, texts, strict=True)
            if said.get(author) and said.get(other)
        ]
        if contests:
            found.append(_compared(decoder, author, other, contests))
    return found


def trial(
    decoder: ColumnDecoder, prompts: Sequence[Answered], author: str, max_words: int
) -> list[Comparison]:
    """Return how the data's completions of an `author` fare against each column.

    Both texts are cut to the shorter one's words, at most `max_words`: their number says nothing,
    and a judge that is worth something still ranks the better author first.
    """
    names = list(dict.fromkeys(one.column for prompt in prompts for one in prompt.answers))
    found = []
    for name in names:
        contests = [
            _even(Contest(prompt.item.prompt, known, answer.text), max_words)
            for prompt in prompts
            for answer in prompt.answers
            if answer.column == name and answer.text
            if (known := prompt.item.meta.get("completions", {}).get(author))
        ]
        if contests:
            found.append(_compared(decoder, author, name, contests))
    return found


def _even(contest: Contest, max_words: int) -> Contest:
    """Cut both texts to the same number of words."""
    first, second = contest.first.split(), contest.second.split()
    count = min(len(first), len(second), max_words)
    return Contest(contest.prompt, " ".join(first[:count]), " ".join(second[:count]))


def _compared(
    decoder: ColumnDecoder, author: str, other: str, contests: Sequence[Contest]
) -> Comparison:
    verdicts = judge(decoder, contests)
    preferences = [one.preference for one in verdicts]
    lengths = [(len(one.first), len(one.second)) for one in contests]
    own, others = ([each[side] for each in lengths] for side in (0, 1))
    return Comparison(
        author=author,
        other=other,
        wins=estimate([_decided(one) for one in preferences]),
        length=length_controlled(preferences, own, others),
        consistent=sum(one.is_consistent for one in verdicts) / len(verdicts),
        longer=sum(first > second for first, second in lengths) / len(lengths),
    )


def _decided(preference: float) -> float:
    return 0.5 if preference == 0.5 else float(preference > 0.5)
