"""How a token is chosen from logits: truncation, coupled draws, log-probabilities.

Knows nothing of drafts. Truncation order: tokens far below the best, then top-k, then top-p.
"""

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding.noise import Vocabulary, gumbel
from tiercel.errors import InvalidRequest, ModelFault
from tiercel.types import SamplingParams, TokenLogprob

NEGLIGIBLE = 17.0
"""A token whose tempered logit lies more than this below the best (4e-8) is never drawn.

By definition, in plain decoding too: noise is then needed for few tokens, and not for 150,000.
"""

MAX_TEMPERATURE = 100.0
_FIRST_LOOK = 8.0  # where the best tokens of a top-k mostly lie, in tempered logits below the best

_Ids = NDArray[np.intp]
_Floats = NDArray[np.float64]
_Row = NDArray[np.float32]  # shape [vocab_size]


def validate(params: SamplingParams) -> None:
    """Raise InvalidRequest for the first field that no sampler could honour."""
    checks = (
        ("temperature", 0 <= params.temperature <= MAX_TEMPERATURE, "must be from 0 to 100"),
        ("top_k", params.top_k >= 0, "must be 0 (no limit) or more"),
        ("top_p", 0 < params.top_p <= 1, "must be above 0 and at most 1"),
        ("seed", 0 <= params.seed < 1 << 64, "must be an unsigned 64-bit integer"),
    )
    for field, holds, why in checks:
        if not holds:  # NaN fails every comparison, so it ends here too
            raise InvalidRequest(field, getattr(params, field), why)


def choose(logits: _Row, params: SamplingParams, vocabulary: Vocabulary, offset: int) -> int:
    """Return the token that follows, drawn at byte `offset` of the generated text.

    Temperature 0 is argmax. Above it, argmax(logit / temperature + Gumbel noise) over what
    truncation leaves. Ties go to the lowest id. Raises ModelFault for NaN, no finite logit, or
    logits of another length than the vocabulary.
    """
    if logits.shape != (len(vocabulary),):
        raise ModelFault(f"logits of shape {logits.shape} for {len(vocabulary)} tokens")
    return coupled_draw(*candidates(logits, params), params, vocabulary, offset)


def coupled_draw(
    ids: _Ids, scores: _Floats, params: SamplingParams, vocabulary: Vocabulary, offset: int
) -> int:
    """Return one of `ids`, drawn from the softmax of `scores` with the noise of byte `offset`.

    Whoever draws from like scores at that offset draws the same token, more often than not.
    """
    if len(ids) == 1:
        return int(ids[0])
    noise = gumbel(vocabulary.hashes[ids], params.seed, offset)
    return int(ids[np.argmax(scores + noise)])


def distribution(logits: _Row, params: SamplingParams) -> tuple[_Ids, _Floats]:
    """Return the ids that `choose` can draw, ascending, and their probabilities.

    One id of probability 1 at temperature 0. Raises ModelFault for NaN or no finite logit.
    """
    ids, scores = candidates(logits, params)
    weights = np.exp(scores)
    return ids, weights / weights.sum()


def logprobs(logits: _Row, token_id: int, num_top: int) -> TokenLogprob:
    """Return the log-probability of `token_id` and of the `num_top` best tokens.

    Log-softmax in float64 over the whole vocabulary at temperature 1, before any truncation.
    Raises InvalidRequest for an id outside the vocabulary, ModelFault as `choose` does.
    """
    if not 0 <= token_id < len(logits):
        raise InvalidRequest("token_id", token_id, f"must be below {len(logits)}")
    best_id, best = best_of(logits)
    if best == np.inf:
        differences = np.full(len(logits), -np.inf)
        differences[best_id] = 0.0
    else:
        differences = logits.astype(np.float64) - best
    log_total = float(np.log(np.exp(differences).sum()))
    top = _largest(logits, min(num_top, len(logits))) if num_top > 0 else np.arange(0)
    return TokenLogprob(
        token_id=token_id,
        logprob=float(differences[token_id]) - log_total,
        top=tuple((int(i), float(differences[i]) - log_total) for i in _ranked(logits, top)),
    )


def best_of(logits: _Row) -> tuple[int, float]:
    """Return the lowest id of the largest logit, and that logit.

    Raises ModelFault for NaN or no finite logit.
    """
    best_id = int(np.argmax(logits))  # the first NaN, where there is one
    best = float(logits[best_id])
    if np.isnan(best):
        raise ModelFault(f"the model gave NaN for token {best_id}")
    if best == -np.inf:
        raise ModelFault("the model gave no finite logit")
    return best_id, best


def candidates(logits: _Row, params: SamplingParams) -> tuple[_Ids, _Floats]:
    """Return the ids that truncation leaves, ascending, and (logit - best) / temperature.

    Raises ModelFault for NaN or no finite logit.
    """
    best_id, best = best_of(logits)
    if params.temperature == 0 or best == np.inf:
        return np.array([best_id]), np.zeros(1)
    reach = NEGLIGIBLE * params.temperature
    ids = _near(logits, best, _FIRST_LOOK * params.temperature) if params.top_k > 0 else None
    if ids is None or len(ids) < params.top_k:  # the best ones may lie further away
        ids = _near(logits, best, reach)
    scores = logits[ids].astype(np.float64) - best
    is_near = scores >= -reach
    if not is_near.all():
        ids, scores = ids[is_near], scores[is_near]
    scores /= params.temperature
    if 0 < params.top_k < len(ids):
        kept = _largest(scores, params.top_k)
        ids, scores = ids[kept], scores[kept]
    if params.top_p < 1:
        kept = _nucleus(scores, params.top_p)
        ids, scores = ids[kept], scores[kept]
    return ids, scores


def _near(logits: _Row, best: float, reach: float) -> _Ids:
    """Return the ids of the logits at most `reach` below `best`, and perhaps the next below.

    One cheap pass in float32; the exact test in float64 is for the few tokens that it leaves.
    """
    # The cast overflows to -inf where every logit is within reach, which is what is meant.
    with np.errstate(over="ignore"):
        floor = np.nextafter(np.float32(best - reach), np.float32(-np.inf))
    return np.flatnonzero(logits >= floor)


def _largest(values: NDArray[np.floating], count: int) -> _Ids:
    """Return the positions, ascending, of the `count` largest; among equals the first ones."""
    smallest = np.partition(values, len(values) - count)[len(values) - count]
    above = np.flatnonzero(values > smallest)
    equal = np.flatnonzero(values == smallest)[: count - len(above)]
    return np.sort(np.concatenate((above, equal)))


def _ranked(values: NDArray[np.floating], positions: _Ids) -> _Ids:
    """Return `positions` (ascending) by value, largest first; among equals the first one first."""
    return positions[np.argsort(-values[positions], kind="stable")]


def _nucleus(scores: _Floats, top_p: float) -> _Ids:
    """Return the positions, ascending, of the smallest best set whose mass reaches `top_p`.

    Top-p sampling (arXiv:1904.09751); the mass is a share of what `scores` hold.
    """
    order = _ranked(scores, np.arange(len(scores)))
    mass = np.cumsum(np.exp(scores[order]))
    count = int(np.searchsorted(mass, top_p * mass[-1])) + 1
    return np.sort(order[:count])
