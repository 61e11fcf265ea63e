"""AGREEMENT: tokens on which several drafters agree stand without the target's judgement."""

from collections.abc import Sequence
from dataclasses import replace

from tiercel.decoding.draft import Draft
from tiercel.decoding.target import Target
from tiercel.decoding.verdict import Leeway, Verdict, walk


def num_unjudged(draft: Draft, strictness: float, num_agreeing: int) -> int:
    """Return how many tokens at the start of a draft stand whatever the target would say.

    Those that at least `num_agreeing` drafters propose, and with which the target agrees with a
    calibrated probability of at least `strictness`; none at strictness 1. Nothing agrees where
    either is not known.
    """
    if strictness == 1 or draft.num_agreeing is None or draft.agreement_probs is None:
        return 0
    both = zip(draft.num_agreeing, draft.agreement_probs, strict=True)
    for index, (count, prob) in enumerate(both):
        if count < num_agreeing or not prob >= strictness:
            return index
    return len(draft)


def compared(token_ids: Sequence[int], target: Target) -> Verdict:
    """Hold tokens that stand against a target that sees them only now.

    The target has a row before each of them and one behind the last. Nothing is refused and nothing
    follows: the verdict's divergences are what EXACT would have said otherwise.
    """
    return walk(Draft(tuple(token_ids)), target, lambda row: True, bonus=lambda row: None)


def verify_agreement(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Let the tokens on which drafters agree stand (`num_unjudged`), and judge the rest by EXACT.

    Several drafters that agree are right more often than any of them, and where the target's
    agreement with them is calibrated, its pass can be saved. What the target says of those tokens
    is compared all the same, once its pass has come: the divergence is the measured cost.
    """
    unjudged = num_unjudged(draft, leeway.strictness, leeway.num_agreeing)
    verdict = walk(
        draft,
        target,
        lambda row: row.index < unjudged or draft.token_ids[row.index] == row.exact,
    )
    return replace(verdict, num_unjudged=unjudged)
