"""Fusion of two models' knowledge (CoSD, Wang et al., arXiv:2502.08020): not meant to be exact.

The draft model speaks, and the target puts in a word of its own where it is clearly surer. The
paper's rules, over the probabilities that each model gives its own token at temperature 1; its
released code tests other quantities. After a replacement what was drafted is void. A draft that
stands whole is followed by no token of the target: the draft model goes on.

A drafter with another vocabulary is compared by spans of text that begin and end alike in both: its
probability of the span is held against the target's of its own word for it, up to where that
differs. Both are products over the span.
"""

from collections.abc import Callable
from dataclasses import replace
from math import prod

from tiercel.decoding.draft import Draft
from tiercel.decoding.target import Row, Target
from tiercel.decoding.verdict import Leeway, Verdict, walk
from tiercel.errors import ModelFault
from tiercel.types import Replacement

Preference = Callable[[float, float], bool]  # of (draft_prob, target_prob)


def verify_cosd_rule(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Replace a draft token where the draft model is unsure of it and the target less so.

    By EXACT's token, where the two differ, draft_prob < alpha, and target_prob > beta draft_prob.
    alpha is the strictness and beta 1 - strictness: the paper's 0.5 and 0.5 in the middle.
    """
    return _fuse(draft, target, lambda one, other: _is_surer(one, other, leeway.strictness))


def verify_cosd_tree(draft: Draft, target: Target, leeway: Leeway) -> Verdict:
    """Replace a draft token where a decision tree, learned from samples, says so.

    That is strictness 0.5. Above, the rule of `verify_cosd_rule` at 2 strictness - 1 replaces
    tokens too; below, the rule at 2 strictness has to agree with the tree. Raises ModelFault
    without a tree.
    """
    tree, strictness = leeway.tree, leeway.strictness
    if tree is None:
        raise ModelFault("the rule of fusion by a tree has no tree here")

    def prefers_target(draft_prob: float, target_prob: float) -> bool:
        says = tree.replaces(draft_prob, target_prob, equal=False)
        if strictness < 0.5:
            return says and _is_surer(draft_prob, target_prob, 2 * strictness)
        return says or _is_surer(draft_prob, target_prob, 2 * strictness - 1)

    return _fuse(draft, target, prefers_target)


def _is_surer(draft_prob: float, target_prob: float, strictness: float) -> bool:
    return draft_prob < strictness and target_prob > (1 - strictness) * draft_prob


def _fuse(draft: Draft, target: Target, prefers_target: Preference) -> Verdict:
    """Walk along the draft; a token whose drafter did not say how sure it was is replaced."""
    spans = _Spans(draft, target)

    def stands(row: Row) -> bool:
        token_id = draft.token_ids[row.index]
        if token_id == row.exact:
            return True
        draft_prob = draft.span_prob(row.index)
        if draft_prob is None or not row.allows(token_id):
            return False
        return not prefers_target(draft_prob, spans.target_prob(row, row.exact))

    def bonus(row: Row) -> int | None:
        return None if len(draft) else row.exact

    verdict = walk(draft, target, stands, bonus=bonus)
    return replace(verdict, replacement=_replacement(verdict, spans))


class _Spans:
    """What the target gives the beginning of a span, and then a token of its own."""

    def __init__(self, draft: Draft, target: Target) -> None:
        self.draft, self._target = draft, target

    def row(self, index: int) -> Row:
        return Row(self._target, index, 0)

    def target_prob(self, row: Row, token_id: int) -> float:
        """Return the product of the probabilities from the span's first token to this one."""
        before = range(self.draft.span_start(row.index), row.index)
        probs = (float(self.row(place).own[self.draft.token_ids[place]]) for place in before)
        return prod(probs, start=float(row.own[token_id]))


def _replacement(verdict: Verdict, spans: _Spans) -> Replacement | None:
    place, token_id = verdict.num_accepted, verdict.next_token
    if not verdict.num_rejected or token_id is None:
        return None
    return Replacement(
        position=place,
        draft_token_id=spans.draft.token_ids[place],
        draft_prob=spans.draft.span_prob(place) or 0.0,
        target_token_id=token_id,
        target_prob=spans.target_prob(spans.row(place), token_id),
    )
