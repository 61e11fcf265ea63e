"""What tiers say in every place of given answers, told in the tokens of the tier that gave them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from tiercel.scores import ScoredContinuation
from tiercel.tokenizer import Tokenizer
from tiercel.wire.requests import Prompt

Top = tuple[tuple[int, float], ...]  # the likeliest tokens with their log-probabilities


@dataclass(frozen=True)
class Sample:
    """A prompt and the target's answer to it."""

    prompt: Prompt
    kind: str
    token_ids: tuple[int, ...]  # of the answer, in the target's vocabulary
    score: float | None = None  # from 0 to 1, where it is known how good the answer is


@dataclass(frozen=True)
class Reading:
    """What one tier would have said in each place of one answer.

    Everything has one entry for each token of the target, None where the tier has nothing to say:
    one with another tokenizer has only where a token of its own begins, too.
    """

    choices: tuple[bytes | None, ...]
    probs: tuple[float | None, ...]  # that it gives its choice
    entropies: tuple[float | None, ...]
    margins: tuple[float | None, ...]
    tops: tuple[Top | None, ...]  # in the target's vocabulary: None for a tier with another one


def reading(scored: ScoredContinuation, tokenizer: Tokenizer) -> Reading:
    """Return what a tier of the target's vocabulary says."""
    choices = [choice.token_id for choice in scored.choices]
    said = [None if one is None else tokenizer.token_bytes(one) for one in choices]
    count, nothing = len(choices), (None,) * len(choices)
    has_logits = len(scored.logprobs) == count
    return Reading(
        choices=tuple(said),
        probs=tuple(_prob(choice.token_id, choice.prob) for choice in scored.choices),
        entropies=scored.entropies if has_logits else nothing,
        margins=scored.margins if has_logits else nothing,
        tops=tuple(entry.top for entry in scored.logprobs) if has_logits else nothing,
    )


def bridged(
    scored: ScoredContinuation, theirs: Tokenizer, token_ids: Sequence[int], own: Tokenizer
) -> Reading:
    """Return what a tier with another tokenizer says where tokens of both begin alike."""
    told = reading(scored, theirs)
    starts = dict(zip(_starts(scored.token_ids, theirs), range(len(told.choices)), strict=True))
    places = [starts.get(start) for start in _starts(token_ids, own)]
    return Reading(
        choices=tuple(None if place is None else told.choices[place] for place in places),
        probs=tuple(None if place is None else told.probs[place] for place in places),
        entropies=tuple(None if place is None else told.entropies[place] for place in places),
        margins=tuple(None if place is None else told.margins[place] for place in places),
        tops=(None,) * len(places),
    )


def agree(one: bytes, other: bytes, *, alike: bool) -> bool:
    """Return whether two choices say the same; across vocabularies one may be the beginning."""
    if alike:
        return one == other
    return bool(one) and bool(other) and (one.startswith(other) or other.startswith(one))


def total_variation(one: Top, other: Top) -> float:
    """Return the total variation of two distributions of which the likeliest tokens are known.

    All that is not among both counts as one token, so this is a lower bound of the true one; by no
    more than what lies there.
    """
    ours, theirs = dict(one), dict(other)
    both = ours.keys() & theirs.keys()
    pairs = [(math.exp(ours[token]), math.exp(theirs[token])) for token in both]
    apart = sum(abs(first - second) for first, second in pairs)
    rest = abs(sum(first for first, _ in pairs) - sum(second for _, second in pairs))
    return min(1.0, (apart + rest) / 2)


def _prob(token_id: int | None, prob: float) -> float | None:
    return None if token_id is None else prob


def _starts(token_ids: Sequence[int], tokenizer: Tokenizer) -> Iterator[int]:
    """Yield the byte at which each token of an answer begins."""
    widths = (len(tokenizer.token_bytes(token_id)) for token_id in token_ids)
    return islice(accumulate(widths, initial=0), len(token_ids))
