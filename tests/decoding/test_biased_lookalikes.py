"""The proof of exactness sees every mistake of `lookalikes`, and nothing in what is right."""

import pytest

from tests.decoding.chains import judge, law, leaf
from tests.decoding.enumeration import variation
from tests.decoding.lookalikes import (
    BIAS,
    MIXED_UP,
    SMALL,
    TRUTH,
    a_block_that_ends_before_an_unsure_place,
    nothing_wrong,
    siblings_are_judged_one_after_the_other,
    tokens_by,
)
from tiercel.errors import InvalidRequest
from tiercel.types import Rule

EXACT = 1e-12


@pytest.mark.parametrize("control", BIAS, ids=lambda control: control.__name__)
def test_the_proof_sees(control):
    found = control()
    assert sum(found.values()) == pytest.approx(1, abs=EXACT)
    assert variation(found, law(TRUTH, len(next(iter(found))))) > BIAS[control]


@pytest.mark.parametrize(
    "control",
    [
        nothing_wrong,
        a_block_that_ends_before_an_unsure_place,
        siblings_are_judged_one_after_the_other,
    ],
)
def test_the_proof_does_not_see_what_is_right(control):
    found = control()
    assert variation(found, law(TRUTH, len(next(iter(found))))) < EXACT


def test_rejection_may_be_drafted_again_with_the_same_numbers():
    """Its fate hangs on no token after the one that it rejects: the difference to BLOCK."""
    found = tokens_by(leaf(SMALL), judge(Rule.REJECTION), reuses=True)
    assert variation(found, law(TRUTH, 2)) < EXACT


def test_a_token_that_its_own_distribution_does_not_hold_is_refused():
    with pytest.raises(InvalidRequest, match="does not hold the draft token"):
        tokens_by(MIXED_UP, judge(Rule.REJECTION))
