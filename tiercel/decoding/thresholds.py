"""The lossy rules that look at the target alone: TYPICAL and RELAXED.

Both judge by the distribution that plain decoding draws from, and at temperature 0 by the model's
own. EXACT's token always stands, and takes the place of one that does not.
"""

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding.draft import Draft
from tiercel.decoding.target import Row, Target
from tiercel.decoding.verdict import Decision, Leeway, Verdict, walk

_Probs = NDArray[np.float32] | NDArray[np.float64]

TYPICAL_EPSILON, TYPICAL_DELTA = 0.3, 0.09  # of the paper's code, in force at strictness 0.5
RELAXED_TOP_K, RELAXED_DELTA = 10, 0.6  # TensorRT-LLM's example, in force at strictness 0.5


def verify_typical(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Typical acceptance (Medusa, arXiv:2401.10774; after truncation by Hewitt et al., 2210.15191).

    A token stands if target_prob > min(epsilon, delta exp(-entropy)) ** odds, with odds = (1 -
    strictness) / strictness: the limit is 1 at strictness 1, the paper's at 0.5, and 0 at 0.
    """

    def stands(row: Row) -> bool:
        prob, probs = _judged_by(row, draft.token_ids[row.index])
        limit = min(TYPICAL_EPSILON, TYPICAL_DELTA * float(np.exp(-_entropy(probs))))
        return prob > float(limit**leeway.odds)

    return walk(draft, target, _or_exact(draft, stands))


def verify_relaxed(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Relaxed acceptance (TensorRT-LLM, for the thinking phase of reasoning models).

    A token stands if it is one of the target's best k odds, and its log-probability lies at most
    delta odds below the best one's, with odds = (1 - strictness) / strictness: the example's k and
    delta at strictness 0.5, nothing at 1, no limit at 0.
    """
    top_k, reach = RELAXED_TOP_K * leeway.odds, RELAXED_DELTA * leeway.odds

    def stands(row: Row) -> bool:
        prob, probs = _judged_by(row, draft.token_ids[row.index])
        if prob == 0 or np.count_nonzero(probs > prob) + 1 > top_k:
            return False
        return float(np.log(probs.max() / prob)) <= reach

    return walk(draft, target, _or_exact(draft, stands))


def _or_exact(draft: Draft, stands: Decision) -> Decision:
    return lambda row: draft.token_ids[row.index] == row.exact or stands(row)


def _judged_by(row: Row, token_id: int) -> tuple[float, _Probs]:
    """Return the probability of a token, 0 for one that cannot be, and all probabilities."""
    if row.temperature > 0:
        return row.distribution.prob(token_id), row.distribution.shares
    return float(row.own[token_id]) if row.allows(token_id) else 0.0, row.own


def _entropy(probs: _Probs) -> float:
    """Return -sum(p log p), in nats (Shannon 1948)."""
    possible = probs[probs > 0]
    return float(-(possible @ np.log(possible)))
