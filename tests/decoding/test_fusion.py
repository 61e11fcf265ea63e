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
