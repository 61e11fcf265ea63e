"""TYPICAL and RELAXED against their formulas, number by number."""

import math

import numpy as np
import pytest

from tiercel.decoding import Draft, Randomness, Target, Vocabulary, verify
from tiercel.types import Acceptance, Rule, SamplingParams

PROBS = np.array([0.5, 0.2, 0.1, 0.08, 0.06, 0.03, 0.02, 0.01])
ENTROPY = -(PROBS * np.log(PROBS)).sum()
LIMIT = min(0.3, 0.09 * math.exp(-ENTROPY))  # 0.0203...
WORDS = Vocabulary.of([bytes([97 + i]) for i in range(len(PROBS))])
GREEDY, SAMPLED = SamplingParams(), SamplingParams(temperature=1.0, seed=1)


def standing(rule, strictness, params=GREEDY, probs=PROBS) -> list[int]:
    """Every token that stands as a draft of one token."""
    logits = np.log(np.array([probs, probs], dtype=np.float32))
    target = Target(logits, params, WORDS)
    verdicts = [
        verify(Acceptance(rule, strictness), Draft((token,)), target, Randomness(0))
        for token in range(len(probs))
    ]
    return [token for token, verdict in enumerate(verdicts) if verdict.num_accepted]


def above(limit: float) -> list[int]:
    return np.flatnonzero(limit < PROBS).tolist()


def exact(params=SAMPLED) -> int:
    target = Target(np.log(PROBS[None].astype(np.float32)), params, WORDS)
    token = verify(Acceptance(), Draft(), target, Randomness(0)).next_token
    assert token is not None
    return token


def test_typical_takes_what_lies_above_the_papers_limit_in_the_middle():
    assert 0.02 < LIMIT < 0.03
    assert standing(Rule.TYPICAL, 0.5) == above(LIMIT) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("strictness", [0.45, 0.55, 0.65, 0.8, 0.9])
def test_typicals_limit_is_raised_to_the_odds(strictness):
    kept = above(LIMIT ** ((1 - strictness) / strictness))
    assert standing(Rule.TYPICAL, strictness) == sorted({0, *kept})


def test_typicals_limit_is_epsilon_where_the_target_is_sure():
    sure = np.array([0.7, 0.2999, *[0.0001 / 6] * 6])
    assert 0.09 * math.exp(0.62) < 0.3  # so that delta decides here, and never epsilon
    assert standing(Rule.TYPICAL, 0.5, probs=sure) == [0, 1]


def test_relaxed_takes_what_lies_within_reach_of_the_best():
    ratio = math.exp(-0.6)
    assert standing(Rule.RELAXED, 0.5) == above(0.5 * ratio) == [0]
    assert standing(Rule.RELAXED, 0.38) == [0, 1]  # log 2.5 is 0.92, and 0.6 odds 0.98
    assert standing(Rule.RELAXED, 0.0) == list(range(8))


def test_relaxed_counts_the_tokens_before():
    even = np.array([0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1, 0.09])
    assert standing(Rule.RELAXED, 0.5, probs=even) == list(range(8))  # 10 odds is 10
    assert standing(Rule.RELAXED, 10 / 13, probs=even) == [0, 1]  # and 3, but 0.18 is the reach
    assert standing(Rule.RELAXED, 0.93, probs=even) == [0]


@pytest.mark.parametrize("rule", [Rule.TYPICAL, Rule.RELAXED])
def test_exacts_token_always_stands_and_others_by_what_is_drawn_from(rule):
    assert exact() != 0  # else this says nothing
    assert exact() in standing(rule, 0.999, SAMPLED)
    assert exact() in standing(rule, 0.5, SAMPLED)
    truncated = SamplingParams(temperature=1.0, top_k=2, seed=1)
    assert set(standing(rule, 0.0, truncated)) == {0, 1}


@pytest.mark.parametrize("rule", [Rule.TYPICAL, Rule.RELAXED])
def test_exacts_token_takes_the_place_of_one_that_does_not_stand(rule):
    logits = np.log(np.array([PROBS, PROBS], dtype=np.float32))
    target = Target(logits, SAMPLED, WORDS)
    verdict = verify(Acceptance(rule, 0.9), Draft((7,)), target, Randomness(0))
    assert (verdict.num_accepted, verdict.next_token) == (0, exact())
    assert verdict.divergences == ()
