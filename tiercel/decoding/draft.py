"""A draft with what a rule may need to know of it, and the check of what a peer sent."""

from dataclasses import dataclass, replace

import numpy as np

from tiercel.decoding.distributions import TokenDistribution
from tiercel.errors import InvalidRequest

_ROUNDING = 1e-3  # how far from 1 the sum of rounded probabilities may lie


@dataclass(frozen=True, eq=False)
class Draft:
    """Draft tokens; every other field has one entry for each token, or is None for not known."""

    token_ids: tuple[int, ...] = ()
    probs: tuple[float, ...] | None = None  # of the draft model, at temperature 1
    distributions: tuple[TokenDistribution, ...] | None = None  # what each token was drawn from
    num_agreeing: tuple[int, ...] | None = None  # drafters that propose this token, here
    agreement_probs: tuple[float, ...] | None = None  # that the target agrees too, calibrated
    # A draft of another vocabulary is known by spans of text that begin and end alike in both: how
    # many tokens of its span lie before each. `probs` then has a span's at its first token.
    span_places: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.token_ids)

    def part(self, start: int, stop: int | None = None) -> "Draft":
        """Return the draft of the tokens from `start` to before `stop`."""
        kept = slice(start, stop)
        given = {name: values[kept] for name, values in vars(self).items() if values is not None}
        return replace(self, **given)

    def span_start(self, index: int) -> int:
        """Return the first token of the span that a token lies in: itself, in one vocabulary."""
        return index if self.span_places is None else max(0, index - self.span_places[index])

    def span_prob(self, index: int) -> float | None:
        """Return the draft model's own probability of a token, or of the span that it lies in."""
        return None if self.probs is None else self.probs[self.span_start(index)]

    def distribution(self, index: int) -> TokenDistribution:
        """Return what a token was drawn from; one that tells nothing of it counts as certain.

        Rules stay exact so, for whatever drafted: nothing is then divided by what isn't known.
        """
        if self.distributions is None:
            return TokenDistribution.certain(self.token_ids[index])
        return self.distributions[index]

    def prob_drawn(self, index: int) -> float:
        """Return the probability with which a token was drawn.

        Raises InvalidRequest if the distribution that came with the token does not hold it.
        """
        prob = self.distribution(index).prob(self.token_ids[index])
        if not prob > 0:
            raise InvalidRequest(
                f"distributions[{index}]", self.token_ids[index], "does not hold the draft token"
            )
        return prob


def check_draft(draft: Draft, vocab_size: int) -> None:
    """Raise InvalidRequest, with the field's name, for a draft that no honest peer sends.

    `vocab_size` is the target's. What is not there is not missed: tokens of which nothing is known
    count as certain.
    """
    for index, token_id in enumerate(draft.token_ids):
        if not 0 <= token_id < vocab_size:
            raise InvalidRequest(f"token_ids[{index}]", token_id, f"must be below {vocab_size}")
    if draft.probs is not None:
        _check_probs(draft, draft.probs)
    if draft.distributions is not None:
        _check_count("distributions", len(draft.distributions), draft)
        for index, distribution in enumerate(draft.distributions):
            _check_distribution(f"distributions[{index}]", distribution, vocab_size)
            draft.prob_drawn(index)


def _check_probs(draft: Draft, probs: tuple[float, ...]) -> None:
    _check_count("probs", len(probs), draft)
    for index, prob in enumerate(probs):
        if not 0.0 <= prob <= 1.0 + _ROUNDING:
            raise InvalidRequest(f"probs[{index}]", prob, "must be in [0, 1]")


def _check_count(field: str, count: int, draft: Draft) -> None:
    if count != len(draft):
        raise InvalidRequest(field, count, f"must be one for each of {len(draft)} tokens")


def _check_distribution(field: str, distribution: TokenDistribution, vocab_size: int) -> None:
    ids, probs = distribution.token_ids, distribution.probs
    if len(ids) and ids[0] >= 0 and ids[-1] < vocab_size and (ids[1:] > ids[:-1]).all():
        is_share = probs.min() >= 0  # false for NaN
        if is_share and abs(float(probs.sum(dtype=np.float64)) - 1) <= _ROUNDING:
            return
    raise _complaint(field, distribution, vocab_size)


def _complaint(field: str, distribution: TokenDistribution, vocab_size: int) -> InvalidRequest:
    """Return the error that says what is wrong with what is no distribution."""
    ids, probs = distribution.token_ids, distribution.probs
    if not len(ids):
        return InvalidRequest(f"{field}.token_ids", [], "must not be empty")
    outside = ids[(ids < 0) | (ids >= vocab_size)]
    if len(outside):
        return InvalidRequest(f"{field}.token_ids", int(outside[0]), f"must be below {vocab_size}")
    again = ids[1:][ids[1:] <= ids[:-1]]
    if len(again):
        return InvalidRequest(f"{field}.token_ids", int(again[0]), "must stand there once")
    wrong = probs[~((probs >= 0) & (probs <= 1 + _ROUNDING))]  # NaN fails every comparison
    if len(wrong):
        return InvalidRequest(f"{field}.probs", float(wrong[0]), "must be in [0, 1]")
    return InvalidRequest(f"{field}.probs", round(float(probs.sum()), 6), "must add up to 1")
