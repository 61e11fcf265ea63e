"""CoSD's two rules against the paper's, and not against its released code."""

import numpy as np
import pytest

from tests.decoding.blocks import TREE
from tiercel.decoding import Draft, Randomness, Target, Vocabulary, verify
from tiercel.errors import ModelFault
from tiercel.types import Acceptance, Replacement, Rule, SamplingParams

SIZE = 4
WORDS = Vocabulary.of([bytes([97 + i]) for i in range(SIZE)])
SHARES = [0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.55, 0.9]


def fuse(draft_prob, target_prob, rule=Rule.COSD_RULE, strictness=0.5, drafted=1, best=0):
    """A draft of one token; the target gives its best one `target_prob`."""
    probs = np.full(SIZE, (1 - target_prob) / (SIZE - 1))
    probs[best] = target_prob
    logits = np.log(np.array([probs, probs], dtype=np.float32))
    draft = Draft((drafted,), probs=None if draft_prob is None else (draft_prob,))
    target = Target(logits, SamplingParams(), WORDS)
    return verify(Acceptance(rule, strictness), draft, target, Randomness(0), TREE)


@pytest.mark.parametrize("draft_prob", SHARES)
@pytest.mark.parametrize("target_prob", [0.28, 0.4, 0.6, 0.99])
def test_the_rule_is_the_papers(draft_prob, target_prob):
    replaces = draft_prob < 0.5 and target_prob > 0.5 * draft_prob
    assert fuse(draft_prob, target_prob).num_rejected == int(replaces)


@pytest.mark.parametrize("strictness", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("draft_prob", SHARES)
def test_strictness_is_alpha_and_what_it_lacks_of_one_is_beta(strictness, draft_prob):
    replaces = draft_prob < strictness and (1 - strictness) * draft_prob < 0.28
    assert fuse(draft_prob, 0.28, strictness=strictness).num_rejected == int(replaces)


def test_a_token_on_which_both_agree_stands_however_unsure_they_are():
    for rule in (Rule.COSD_RULE, Rule.COSD_TREE):
        verdict = fuse(0.0, 0.9, rule, 0.9, drafted=0)
        assert (verdict.num_accepted, verdict.replacement) == (1, None)


def test_a_replacement_says_what_was_replaced_and_why():
    verdict = fuse(0.25, 0.6)
    assert (verdict.num_accepted, verdict.next_token, verdict.num_rejected) == (0, 0, 1)
    shown = verdict.replacement
    assert shown == Replacement(0, 1, 0.25, 0, shown.target_prob)
    assert shown.target_prob == pytest.approx(0.6)
    assert (verdict.num_compared, verdict.divergences) == (1, ())


def test_no_token_of_the_target_follows_a_draft_that_stands_whole():
    verdict = fuse(0.9, 0.6)
    assert (verdict.num_accepted, verdict.next_token) == (1, None)
    assert verdict.committed((1,)) == (1,)
    assert verdict.num_compared == 1
    assert [one.exact_token for one in verdict.divergences] == [0]
    assert verdict.divergences[0].logprob_gap == pytest.approx(np.log(0.6 / (0.4 / 3)), rel=1e-5)


def test_without_a_draft_the_target_speaks():
    target = Target(np.array([[0, 3, 1, 2]], dtype=np.float32), SamplingParams(), WORDS)
    verdict = verify(Acceptance(Rule.COSD_RULE, 0.5), Draft(), target, Randomness(0))
    assert (verdict.next_token, verdict.replacement) == (1, None)


@pytest.mark.parametrize("rule", [Rule.COSD_RULE, Rule.COSD_TREE])
def test_a_drafter_that_does_not_say_how_sure_it_is_is_held_to_exact(rule):
    verdict = fuse(None, 0.28, rule, 0.01)
    assert verdict.num_rejected == 1
    assert verdict.replacement is not None


@pytest.mark.parametrize("draft_prob", SHARES)
@pytest.mark.parametrize("target_prob", [0.28, 0.6])
def test_the_tree_decides_alone_in_the_middle_of_the_scale(draft_prob, target_prob):
    replaces = TREE.replaces(draft_prob, target_prob, equal=False)
    assert fuse(draft_prob, target_prob, Rule.COSD_TREE).num_rejected == int(replaces)


def test_the_rule_helps_the_tree_above_the_middle_and_checks_it_below():
    assert fuse(0.45, 0.6, Rule.COSD_TREE).num_rejected == 0  # above the tree's threshold
    assert fuse(0.45, 0.6, Rule.COSD_TREE, 0.8).num_rejected == 1  # 2 * 0.8 - 1 is above 0.45
    assert fuse(0.3, 0.6, Rule.COSD_TREE).num_rejected == 1
    assert fuse(0.3, 0.6, Rule.COSD_TREE, 0.1).num_rejected == 0  # 2 * 0.1 is below 0.3


def test_a_tree_must_be_there_where_it_is_asked_for():
    target = Target(np.zeros((1, SIZE), dtype=np.float32), SamplingParams(), WORDS)
    acceptance = Acceptance(Rule.COSD_TREE, 0.5)
    with pytest.raises(ModelFault, match="no tree"):
        verify(acceptance, Draft(), target, Randomness(0))


def two_of_a_span(draft_probs, span_places, second=0.9, rule=Rule.COSD_RULE, strictness=0.5):
    """A draft of three tokens; the target agrees with the first (0.8) and the last, not between."""
    rows = [[0.8, 0.1, 0.06, 0.04], [0.0] * 4, [0.02, 0.03, 0.05, 0.9], [0.25] * 4]
    rows[1] = [(1 - second) / 3, second, (1 - second) / 3, (1 - second) / 3]
    target = Target(np.log(np.array(rows, dtype=np.float32)), SamplingParams(), WORDS)
    draft = Draft((0, 2, 3), probs=draft_probs, span_places=span_places)
    return verify(Acceptance(rule, strictness), draft, target, Randomness(0), TREE)


@pytest.mark.parametrize("draft_prob", SHARES)
@pytest.mark.parametrize("second", [0.28, 0.4, 0.6, 0.99])
def test_spans_are_compared_by_products(draft_prob, second):
    """Tokens one and two of the target's are one of the drafter's, which is as sure of both."""
    verdict = two_of_a_span((draft_prob, 1.0, 0.7), (0, 1, 0), second)
    replaces = draft_prob < 0.5 and 0.8 * second > 0.5 * draft_prob
    assert verdict.num_accepted == (1 if replaces else 3)
    assert verdict.next_token == (1 if replaces else None)


def test_a_span_that_is_replaced_says_what_it_was_held_against():
    shown = two_of_a_span((0.3, 1.0, 0.7), (0, 1, 0)).replacement
    assert (shown.position, shown.draft_token_id, shown.target_token_id) == (1, 2, 1)
    assert shown.draft_prob == 0.3
    assert shown.target_prob == pytest.approx(0.8 * 0.9)


def test_within_a_span_the_first_token_alone_would_never_lose():
    """What goes wrong where each token is held by itself: the rest of a span passes for certain."""
    assert two_of_a_span((0.3, 1.0, 0.7), None).num_accepted == 3


@pytest.mark.parametrize("rule", [Rule.COSD_RULE, Rule.COSD_TREE])
@pytest.mark.parametrize("probs", [(0.3, 0.2, 0.7), (0.9, 0.45, 0.1)])
def test_spans_of_one_token_are_tokens(rule, probs):
    assert two_of_a_span(probs, (0, 0, 0), rule=rule) == two_of_a_span(probs, None, rule=rule)


def test_what_stands_of_a_span_stands_at_a_lesser_strictness():
    for first, second in np.random.default_rng(1).random((60, 2)):
        stands = [
            two_of_a_span((first, 1.0, 0.7), (0, 1, 0), second, rule, strictness).num_accepted
            for rule in (Rule.COSD_RULE, Rule.COSD_TREE)
            for strictness in (0.1, 0.4, 0.6, 0.9)
        ]
        assert stands[:4] == sorted(stands[:4], reverse=True)
        assert stands[4:] == sorted(stands[4:], reverse=True)


def test_a_part_of_a_draft_keeps_its_spans():
    draft = Draft((0, 2, 3), probs=(0.3, 1.0, 0.7), span_places=(0, 1, 0))
    assert draft.part(0, 2).span_prob(1) == 0.3
    assert draft.part(1).span_start(0) == 0
    assert Draft((1,)).span_prob(0) is None
