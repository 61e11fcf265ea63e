"""AGREEMENT: how many tokens stand unjudged, and what becomes of the rest."""

import numpy as np
import pytest

from tiercel.decoding import Draft, Randomness, Target, Vocabulary, num_unjudged, verify
from tiercel.types import Acceptance, Rule, SamplingParams

WORDS = Vocabulary.of([bytes([97 + i]) for i in range(4)])
LOGITS = np.zeros((5, 4), dtype=np.float32)
LOGITS[:, 2] = 3.0  # the target says 2, and 2 again
LOGITS[:, 1] = 1.0


def draft(tokens, counts, probs) -> Draft:
    return Draft(tokens, num_agreeing=counts, agreement_probs=probs)


def judge(drafted: Draft, strictness: float, num_agreeing: int = 2):
    target = Target(LOGITS[: len(drafted) + 1], SamplingParams(), WORDS)
    acceptance = Acceptance(Rule.AGREEMENT, strictness, num_agreeing)
    return verify(acceptance, drafted, target, Randomness(0))


@pytest.mark.parametrize(
    ("counts", "probs", "strictness", "num_agreeing", "expected"),
    [
        ((2, 2, 2), (0.9, 0.9, 0.9), 0.9, 2, 3),
        ((2, 2, 2), (0.9, 0.8, 0.9), 0.9, 2, 1),  # what follows one that is judged is judged
        ((2, 1, 2), (0.9, 0.9, 0.9), 0.5, 2, 1),
        ((3, 2, 3), (0.9, 0.9, 0.9), 0.5, 3, 1),
        ((1, 2, 2), (1.0, 1.0, 1.0), 0.0, 2, 0),
        ((2, 2, 2), (0.0, 0.0, 0.0), 0.0, 2, 3),
        ((2, 2, 2), (1.0, 1.0, 1.0), 1.0, 2, 0),  # however sure
        ((2, 2, 2), (float("nan"), 1.0, 1.0), 0.1, 2, 0),
        ((), (), 0.5, 2, 0),
    ],
)
def test_the_first_tokens_on_which_enough_agree_stand(
    counts, probs, strictness, num_agreeing, expected
):
    drafted = draft((0,) * len(counts), counts, probs)
    assert num_unjudged(drafted, strictness, num_agreeing) == expected
    assert judge(drafted, strictness, num_agreeing).num_unjudged == expected


def test_nothing_agrees_where_nothing_is_known():
    assert num_unjudged(Draft((1, 2)), 0.0, 2) == 0
    assert num_unjudged(Draft((1, 2), num_agreeing=(2, 2)), 0.0, 2) == 0
    assert num_unjudged(Draft((1, 2), agreement_probs=(1.0, 1.0)), 0.0, 2) == 0


def test_the_rest_is_judged_by_exact_and_all_is_compared():
    verdict = judge(draft((1, 2, 2, 0), (2, 2, 1, 1), (0.8,) * 4), 0.7)
    assert (verdict.num_unjudged, verdict.num_accepted, verdict.next_token) == (2, 3, 2)
    assert verdict.num_compared == 4
    assert [(one.index, one.exact_token, one.logprob_gap) for one in verdict.divergences] == [
        (0, 2, 2.0)
    ]


def test_a_masked_token_that_stood_has_a_finite_gap():
    masked = LOGITS.copy()
    masked[:, 0] = -np.inf
    drafted = draft((0,), (2,), (1.0,))
    target = Target(masked[:2], SamplingParams(), WORDS)
    verdict = verify(Acceptance(Rule.AGREEMENT, 0.5), drafted, target, Randomness(0))
    assert verdict.divergences[0].logprob_gap == 100.0
