"""The two lossy rules that loosen speculative sampling's coin: ENSEMBLE and LENIENT."""

import math

from tiercel.decoding.draft import Draft
from tiercel.decoding.speculative import rest
from tiercel.decoding.target import Row, Target
from tiercel.decoding.verdict import Leeway, Verdict, walk


def verify_ensemble(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Speculative sampling towards w target_probs + (1 - w) draft_probs (arXiv:2604.07622).

    w is the strictness. A draft token stands with probability min(1, 1 - w + w target_prob /
    draft_prob); the rest is that of REJECTION, for the mixture exceeds the draft where the target
    does. 1 - w TV of the draft tokens stand, and what comes out lies (1 - w) TV from the target.
    """
    weight = leeway.strictness

    def stands(row: Row) -> bool:
        token_id, drawn = draft.token_ids[row.index], draft.prob_drawn(row.index)
        ratio = 1 - weight + weight * row.distribution.prob(token_id) / drawn
        return row.allows(token_id) and leeway.randomness.coin(row.index, ratio)

    return walk(draft, target, stands, recovered=lambda row: row.coupled(rest(row, draft)))


def verify_lenient(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Speculative sampling with lenience (arXiv:2211.17192, appendix A.5), which is the strictness.

    A draft token stands with probability min(1, target_prob / (strictness draft_prob)), so none
    that the target gives less than that often comes out more than 1 / strictness times as often.
    At temperature 0 a token stands if it is at least strictness times as likely as the best one.
    """
    return walk(
        draft,
        target,
        lambda row: _stands_leniently(row, draft, leeway),
        recovered=lambda row: row.coupled(rest(row, draft)),
    )


def _stands_leniently(row: Row, draft: Draft, leeway: Leeway) -> bool:
    token_id, strictness = draft.token_ids[row.index], leeway.strictness
    if not row.allows(token_id):
        return False
    if row.temperature == 0:
        return strictness == 0 or row.gap(token_id) <= -math.log(strictness)
    wanted = row.distribution.prob(token_id)
    needed = strictness * draft.prob_drawn(row.index)
    return wanted > 0 and (needed == 0 or leeway.randomness.coin(row.index, wanted / needed))
