"""Speculative sampling from a tree: the drafts of several drafters for one place.

Each draft token was drawn from the distribution that came with it, independently of the other
drafters' and of the verifier's numbers. Which drafts are judged, in which order, and how long they
are, must not depend on what was drawn.
"""

from collections.abc import Sequence
from itertools import count

from tiercel.decoding.distributions import TokenDistribution
from tiercel.decoding.draft import Draft
from tiercel.decoding.speculative import scaled_rest
from tiercel.decoding.target import Target
from tiercel.decoding.verdict import Leeway, Verdict


def verify_siblings(
    drafts: Sequence[Draft], targets: Sequence[Target], leeway: Leeway
) -> tuple[int, Verdict]:
    """Recursive rejection sampling (SpecInfer, arXiv:2305.09781, algorithm 2).

    After what stands already, the drafts that began so are tried in their order. The token of one
    stands with probability min(1, left_prob / draft_prob), where `left` is the target's
    distribution at first, and max(0, left_probs - draft_probs), renormalised, after each token
    that does not stand; if none does, the token is drawn from that. So every token follows the
    target's distribution. A token that was rejected has no probability left: a draft that says it
    again is rejected too, and takes its own distribution away as any other does. Drafts that are
    not tried any more, and say what stands, are tried with their next token.

    Each draft has a target of its own; they agree where the drafts do. Returns which draft is the
    first that stands so far, and what becomes of it. Raises as the rule for one draft does.
    """
    for draft, target in zip(drafts, targets, strict=True):
        target.check(len(draft))
    last, coins = sum(map(len, drafts)), count()
    standing, depth = list(range(len(drafts))), 0
    while tried := [number for number in standing if len(drafts[number]) > depth]:
        left = targets[tried[0]].distribution(depth)
        for place, number in enumerate(tried):
            ratio = left.prob(drafts[number].token_ids[depth]) / drafts[number].prob_drawn(depth)
            if leeway.randomness.coin(next(coins), ratio):
                standing = _alike(drafts, tried[place:], depth)
                break
            left = scaled_rest(left, drafts[number].distribution(depth), 1.0)
        else:
            return tried[0], _ended(leeway, last, left, depth, num_rejected=1)
        depth += 1
    after = targets[standing[0]].distribution(depth)
    return standing[0], _ended(leeway, last, after, depth, num_rejected=0)


def _alike(drafts: Sequence[Draft], numbers: Sequence[int], depth: int) -> list[int]:
    """Return which of these drafts have the token of the first of them."""
    token_id = drafts[numbers[0]].token_ids[depth]
    return [number for number in numbers if drafts[number].token_ids[depth] == token_id]


def _ended(
    leeway: Leeway, last: int, following: TokenDistribution, depth: int, *, num_rejected: int
) -> Verdict:
    return Verdict(
        num_accepted=depth,
        next_token=leeway.randomness.draw(last, following),
        num_rejected=num_rejected,
    )
