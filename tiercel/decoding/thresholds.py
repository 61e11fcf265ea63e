"""The lossy rules that look at the target alone: TYPICAL and RELAXED.

Both judge by the distribution that plain decoding draws from, and at temperature 0 by the model's
own. EXACT's token always stands, and takes the place of one that does not.
"""

import numpy as np

from tiercel.decoding.distributions import TokenDistribution
from tiercel.decoding.draft import Draft
from tiercel.decoding.target import Row, Target
from tiercel.decoding.verdict import Decision, Leeway, Verdict, walk

TYPICAL_EPSILON, TYPICAL_DELTA = 0.3, 0.09  # of the paper's code, in force at strictness 0.5
RELAXED_TOP_K, RELAXED_DELTA = 10, 0.6  # TensorRT-LLM's example, in force at strictness 0.5


def verify_typical(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Typical acceptance (Medusa, arXiv:2401.10774; after truncation by Hewitt et al., 2210.15191).

    A token stands if target_prob > min(epsilon, delta exp(-entropy)) ** odds, with odds = (1 -
    strictness) / strictness: the limit is 1 at strictness 1, the paper's at 0.5, and 0 at 0.
    """

    def stands(row: Row) -> bool:
        probs = _judged_by(row)
        limit = min(TYPICAL_EPSILON, TYPICAL_DELTA * float(np.exp(-_entropy(probs))))
        return probs.prob(draft.token_ids[row.index]) > float(limit**leeway.odds)

    return walk(draft, target, _or_exact(draft, stands))


def verify_relaxed(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Relaxed acceptance (TensorRT-LLM, for the thinking phase of reasoning models).

    A token stands if it is one of the target's best k, and its log-probability lies at most delta
    odds below the best one's, with odds = (1 - strictness) / strictness: 0 at strictness 1, delta
    at 0.5, without a limit at 0.
    """
    reach = RELAXED_DELTA * leeway.odds

    def stands(row: Row) -> bool:
        probs = _judged_by(row)
        prob = probs.prob(draft.token_ids[row.index])
        if prob == 0 or np.count_nonzero(probs.shares > prob) >= RELAXED_TOP_K:
            return False
        return float(np.log(probs.shares.max() / prob)) <= reach

    return walk(draft, target, _or_exact(draft, stands))


def _or_exact(draft: Draft, stands: Decision) -> Decision:
    return lambda row: draft.token_ids[row.index] == row.exact or stands(row)


def _judged_by(row: Row) -> TokenDistribution:
    return row.own if row.temperature == 0 else row.distribution


def _entropy(distribution: TokenDistribution) -> float:
    """Return -sum(p log p), in nats (Shannon 1948)."""
    shares = distribution.shares[distribution.shares > 0]
    return float(-(shares @ np.log(shares)))
