"""EXACT, the default: the text is that of plain decoding, token for token."""

from tiercel.decoding.draft import Draft
from tiercel.decoding.target import Target
from tiercel.decoding.verdict import Leeway, Verdict, walk


def verify_exact(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Accept draft tokens while each is the very token that plain decoding would choose.

    Drafter and target draw with the same noise, so they often agree (arXiv:2408.07978), and the
    text does not depend on the draft at all. An id outside the vocabulary is never equal.
    """
    return walk(draft, target, lambda row: draft.token_ids[row.index] == row.exact, compares=False)
