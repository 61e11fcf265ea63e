"""The two rules that keep the target's distribution: speculative sampling, and by whole blocks.

Both ask that each draft token was drawn from the distribution that came with it, with numbers
that are independent of the verifier's (`randomness` says how). A token that came with none counts
as certain, which is exact for whatever drafted it.
"""

from tiercel.decoding.distributions import TokenDistribution, excess
from tiercel.decoding.draft import Draft
from tiercel.decoding.target import Row, Target
from tiercel.decoding.verdict import Leeway, Verdict, walk


def verify_rejection(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Speculative sampling (Leviathan et al., arXiv:2211.17192; Chen et al., arXiv:2302.01318).

    A draft token stands with probability min(1, target_prob / draft_prob). What takes its place is
    drawn from max(0, target_probs - draft_probs), renormalised. So every token follows the
    target's distribution, and 1 - TV of the draft tokens stand.
    """
    last = len(draft)

    def stands(row: Row) -> bool:
        ratio = row.distribution.prob(draft.token_ids[row.index]) / draft.prob_drawn(row.index)
        return leeway.randomness.coin(row.index, ratio)

    return walk(
        draft,
        target,
        stands,
        recovered=lambda row: leeway.randomness.draw(last, rest(row, draft)),
        bonus=lambda row: leeway.randomness.draw(last, row.distribution),
        compares=False,
    )


def rest(row: Row, draft: Draft) -> TokenDistribution:
    """Return max(0, target_probs - draft_probs), from which a rejected token is recovered."""
    return scaled_rest(row.distribution, draft.distribution(row.index), 1.0)


def verify_block(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Block verification (Sun et al., arXiv:2403.10444, algorithm 2).

    With joint_0 = 1, joint_i = min(1, joint_(i-1) target_prob_i / draft_prob_i), and left_i the sum
    of max(0, joint_i target_probs - draft_probs) over the tokens after the first i, a coin with
    probability left_i / (left_i + 1 - joint_i) is thrown for every i below the length, and one
    with joint_i for the whole draft. The longest prefix whose coin says so stands. What follows is
    drawn from max(0, joint_i target_probs - draft_probs), renormalised. The distribution is that of
    REJECTION, and on average at least as many tokens stand.
    """
    target.check(len(draft))
    randomness, last = leeway.randomness, len(draft)
    after = target.distribution(0)
    joint, num_accepted, following = 1.0, 0, after
    if last:
        following = scaled_rest(after, draft.distribution(0), 1.0)
    for index, token_id in enumerate(draft.token_ids):
        joint = min(1.0, joint * after.prob(token_id) / draft.prob_drawn(index))
        if joint == 0:
            break  # no longer prefix can stand
        after, length = target.distribution(index + 1), index + 1
        is_whole = length == last
        prob = joint if is_whole else _prefix_prob(after, draft.distribution(length), joint)
        if randomness.coin(index, prob):
            num_accepted = length
            following = after if is_whole else scaled_rest(after, draft.distribution(length), joint)
    return Verdict(
        num_accepted=num_accepted,
        next_token=randomness.draw(last, following),
        num_rejected=0 if num_accepted == last else 1,
    )


def _prefix_prob(after: TokenDistribution, drafted: TokenDistribution, joint: float) -> float:
    """Return with what probability a prefix of this joint probability stands, and no longer one."""
    left = excess(after, drafted, joint)[1]
    return left / (left + 1 - joint) if left + 1 - joint > 0 else 1.0


def scaled_rest(
    after: TokenDistribution, drafted: TokenDistribution, joint: float
) -> TokenDistribution:
    """Return max(0, joint * target_probs - draft_probs); the target's own if rounding left none."""
    weights, total = excess(after, drafted, joint)
    return TokenDistribution(after.token_ids, weights) if total > 0 else after
