"""Speculative cascades (Narasimhan et al., arXiv:2405.19261): speculative sampling towards a mix.

A rule of deferral says where the draft's distribution is good enough to stand for the target's.
Rules look at the models' own probabilities, at temperature 1; what is mixed, and how far it lies
apart, are the distributions that are drawn from. Towards the mix, sampling is exact.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding.distributions import TokenDistribution, beyond, excess
from tiercel.decoding.draft import Draft
from tiercel.decoding.speculative import rest
from tiercel.decoding.target import Row, Target
from tiercel.decoding.verdict import Leeway, Verdict, walk

_Flags = NDArray[np.bool_]
Deferral = Callable[[Row, Draft, float], bool]


def verify_chow(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """The draft's distribution where its best token has at least probability `strictness`.

    Chow's rule (equation 2): max draft_probs >= 1 - lenience, lenience = 1 - strictness.
    """
    return _cascade(draft, target, leeway, _chow)


def verify_diff(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """The draft's distribution where its best is nearly as likely as the target's best.

    Equation 5: max draft_probs >= max target_probs - lenience. The lenience is 1 - 2 strictness,
    for it is at -1 that nothing of the draft is left, and at 1 that all of it is.
    """
    return _cascade(draft, target, leeway, _diff)


def verify_opt(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """As `verify_diff`, with the lenience weighed by how much would be rejected otherwise.

    Equation 10: max draft_probs >= max target_probs - lenience TV, lenience = 1 - 2 strictness.
    """
    return _cascade(draft, target, leeway, _opt)


def verify_token(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """The draft's probability for the tokens that the target finds good enough: Token V3.

    Equation 15: a token is good if target_prob >= (1 - lenience) max target_probs, lenience = 1 -
    strictness. The mix gives draft_prob to a good token, and target_prob of what is left to any:
    mix = draft_probs good + (1 - sum(draft_probs good)) target_probs.
    """

    def stands(row: Row) -> bool:
        token_id, drawn = draft.token_ids[row.index], draft.prob_drawn(row.index)
        if not row.allows(token_id):
            return False
        drafted = draft.distribution(row.index)
        is_good, left = _good(row, drafted, leeway.strictness)
        is_this_good = bool(is_good[drafted.token_ids == token_id].any())
        ratio = is_this_good + left * row.distribution.prob(token_id) / drawn
        return leeway.randomness.coin(row.index, ratio)

    def recovered(row: Row) -> int:
        return row.coupled(_token_rest(row, draft.distribution(row.index), leeway.strictness))

    return walk(draft, target, stands, recovered)


def _cascade(draft: Draft, target: Target, leeway: Leeway, defers: Deferral) -> Verdict:
    def stands(row: Row) -> bool:
        token_id = draft.token_ids[row.index]
        if not row.allows(token_id):
            return False
        if defers(row, draft, leeway.strictness):
            return True
        ratio = row.distribution.prob(token_id) / draft.prob_drawn(row.index)
        return leeway.randomness.coin(row.index, ratio)

    return walk(draft, target, stands, recovered=lambda row: row.coupled(rest(row, draft)))


def _chow(row: Row, draft: Draft, strictness: float) -> bool:
    return _surest(row, draft) >= strictness


def _diff(row: Row, draft: Draft, strictness: float) -> bool:
    return _surest(row, draft) >= _best(row) - (1 - 2 * strictness)


def _opt(row: Row, draft: Draft, strictness: float) -> bool:
    variation = excess(row.distribution, draft.distribution(row.index))[1]
    return _surest(row, draft) >= _best(row) - (1 - 2 * strictness) * variation


def _best(row: Row) -> float:
    return float(row.own.max())


def _surest(row: Row, draft: Draft) -> float:
    """Return the draft model's largest probability at temperature 1; 0 where it told nothing.

    At temperature 0 its token is its best one. Above, the temperature is taken out again of the
    distribution that was sent; what lay beyond its support is not missed much.
    """
    if draft.distributions is not None and row.temperature > 0:
        shares = draft.distributions[row.index].shares
        if len(shares) > 1 or draft.probs is None:
            powers = (shares / shares.max()) ** row.temperature
            return float(1 / powers.sum())
    return draft.span_prob(row.index) or 0.0


def _good(row: Row, drafted: TokenDistribution, strictness: float) -> tuple[_Flags, float]:
    """Return which of the drafter's tokens are good, and the probability it gives to the others."""
    ids = drafted.token_ids
    logits = np.where(ids < len(row.logits), row.logits.take(ids, mode="clip"), -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):  # of 0, and of an infinite logit
        limit = row.logits.max() + np.log(strictness)
    is_good: _Flags = (logits >= limit) & (logits > -np.inf)
    return is_good, float(drafted.shares[~is_good].sum())


def _token_rest(row: Row, drafted: TokenDistribution, strictness: float) -> TokenDistribution:
    """Return max(0, mix - draft_probs): of a good token, all that the target adds to it."""
    is_good, left = _good(row, drafted, strictness)
    amounts = np.where(is_good, 0.0, drafted.shares)
    weights, total = beyond(row.distribution, left, drafted.token_ids, amounts)
    return TokenDistribution(row.distribution.token_ids, weights) if total > 0 else row.distribution
