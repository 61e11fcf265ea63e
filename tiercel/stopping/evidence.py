"""What an answer's tokens say of it so far, as one vector: the same in training and in serving."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tiercel.errors import InvalidRequest

Floats = NDArray[np.float64]

EVIDENCE_VERSION = 1
"""Goes up with every change to what the vector holds or how it is computed."""
PREFIXES = (8, 16, 32, 64)
"""After how many tokens a decision may be asked for, beside the whole answer's."""
EVIDENCE_NAMES = (
    "mean_logprob",  # in nats, as are all down to low_margin
    "low_logprob",  # a tenth of the tokens is below: a mean alone depends on the length
    "min_logprob",
    "mean_entropy",
    "high_entropy",  # a tenth of the tokens is above
    "mean_margin",
    "low_margin",
    "log2_length",  # of 1 + the number of tokens
    "finished",  # 1 if the answer ended by itself
    "share_matched",  # of the tokens that a drafter guessed
    "share_matched_first",  # those before its first wrong guess
    "has_matches",  # 1 if any token was guessed
)
_LOW, _HIGH = 0.1, 0.9
_FARTHEST = 20.0  # nats: beyond, a number says no more


def evidence_vector(
    logprobs: ArrayLike,
    entropies: ArrayLike,
    margins: ArrayLike,
    *,
    finished: bool,
    matches: Sequence[bool] = (),
    prefix_tokens: int | None = None,
) -> Floats:
    """Return the numbers named in EVIDENCE_NAMES of an answer's tokens, of shape [12].

    `logprobs`, `entropies` and `margins` hold one number a token, in nats, from the first token on;
    `matches` says of the tokens that a drafter guessed, in order, whether it was right; `finished`
    whether the answer ended by itself, at its last token here. With `prefix_tokens` only so many
    tokens are looked at, as if the later ones were not there yet. Numbers are rounded to float16,
    in which the outcome matrix keeps them. Raises InvalidRequest for lists of different lengths,
    a prefix below 1, or NaN.
    """
    lists = [_nats(values) for values in (logprobs, entropies, margins)]
    length = len(lists[0])
    if any(len(values) != length for values in lists):
        lengths = [len(values) for values in lists]
        raise InvalidRequest("evidence", lengths, "one number of each kind for every token")
    if prefix_tokens is not None and prefix_tokens < 1:
        raise InvalidRequest("prefix_tokens", prefix_tokens, "at least one token")
    if prefix_tokens is not None and length > prefix_tokens:
        lists = [values[:prefix_tokens] for values in lists]
        finished, length = False, prefix_tokens
    shape = (float(np.log2(1 + length)), float(finished and length > 0))
    values = (*_numbers(*lists), *shape, *_matched(matches[:length]))
    return np.array(values, np.float64)


def _nats(values: ArrayLike) -> Floats:
    """Return one list as the matrix keeps it, in float16, what is far out brought nearer."""
    numbers = np.asarray(values, np.float64).reshape(-1)
    if np.isnan(numbers).any():
        raise InvalidRequest("evidence", "nan", "no number")
    near = np.clip(numbers, -_FARTHEST, _FARTHEST)
    return near.astype(np.float16).astype(np.float64)


def _numbers(logprobs: Floats, entropies: Floats, margins: Floats) -> tuple[float, ...]:
    """Return means, quantiles (linear between two tokens) and the least; zeros for no token."""
    if not len(logprobs):
        return (0.0,) * 7
    return (
        float(logprobs.mean()),
        float(np.quantile(logprobs, _LOW)),
        float(logprobs.min()),
        float(entropies.mean()),
        float(np.quantile(entropies, _HIGH)),
        float(margins.mean()),
        float(np.quantile(margins, _LOW)),
    )


def _matched(matches: Sequence[bool]) -> tuple[float, float, float]:
    if not len(matches):
        return 0.0, 0.0, 0.0
    right = [bool(match) for match in matches]
    first = right.index(False) if False in right else len(right)
    return sum(right) / len(right), first / len(right), 1.0
